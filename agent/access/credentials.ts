// Secrets of tokens and signatures of links, on Web Crypto alone.

/** Bytes of randomness in a token: 43 characters of base64url. */
const SECRET_BYTES = 32
const SECRET_PREFIX = 'slp_'
const KEY_BYTES = 32

/** A new token secret, `slp_` and 43 characters. The prefix lets scanners of source code find leaked ones. */
export function newSecret(): string {
  return SECRET_PREFIX + randomText(SECRET_BYTES)
}

/** A new key for links, as text. */
export function newLinkKey(): string {
  return randomText(KEY_BYTES)
}

/** A new key of 256 bits for sealing secrets, as text. */
export function newSealingKey(): string {
  return randomText(KEY_BYTES)
}

/** SHA-256 of a secret as hex. A secret has the full 256 bits of randomness, so a slow hash would add nothing. */
export async function hashSecret(secret: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(secret)))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Compares two texts of equal length in a time that does not tell where they differ. */
export function isEqualConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

/** Signs and verifies the payload of links with HMAC-SHA256. */
export interface LinkSigner {
  /** `<payload>.<signature>`, both base64url. */
  sign(payload: unknown): Promise<string>
  /** The payload, or undefined when the signature is not ours. */
  open(link: string): Promise<unknown>
}

/** Makes a signer with a key of `newLinkKey`. */
export async function createLinkSigner(key: string): Promise<LinkSigner> {
  const imported = await crypto.subtle.importKey('raw', fromBase64Url(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
  return {
    async sign(payload) {
      const body = toBase64Url(new TextEncoder().encode(JSON.stringify(payload)))
      const signature = await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(body))
      return `${body}.${toBase64Url(new Uint8Array(signature))}`
    },
    async open(link) {
      const [, body, signature] = /^([\w-]+)\.([\w-]{43})$/.exec(link) ?? []
      if (body === undefined || signature === undefined) return undefined
      const isOurs = await crypto.subtle.verify('HMAC', imported, fromBase64Url(signature), new TextEncoder().encode(body))
      return isOurs ? JSON.parse(new TextDecoder().decode(fromBase64Url(body))) : undefined
    },
  }
}

function randomText(bytes: number): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(bytes)))
}

/** Base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}

/** The bytes of base64url text; throws for text that is none. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
}
