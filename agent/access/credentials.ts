// Secrets of tokens and upload links, and signatures of download links. Uses Web Crypto only.

import { GRANT_TOKEN_PREFIX } from '../../protocol/sync/sync-grant.ts'

/** Bytes of randomness in a token: 43 characters of base64url. */
const SECRET_BYTES = 32
const SECRET_PREFIX = 'slp_'
const UPLOAD_LINK_PREFIX = 'slu_'
const KEY_BYTES = 32

/** Returns a new token secret, `slp_` and 43 characters. The prefix lets secret scanners find leaked tokens. */
export function newSecret(): string {
  return SECRET_PREFIX + randomText(SECRET_BYTES)
}

/** Returns a new secret of a grant between stores, `slg_` and 43 characters. */
export function newGrantSecret(): string {
  return GRANT_TOKEN_PREFIX + randomText(SECRET_BYTES)
}

/** Returns a new secret of an upload link, `slu_` and 43 characters. */
export function newUploadLinkSecret(): string {
  return UPLOAD_LINK_PREFIX + randomText(SECRET_BYTES)
}

/** Returns a new secret of a session of the page, 43 characters. It works for the page only, so scanners need no prefix to find it. */
export function newPageSecret(): string {
  return randomText(SECRET_BYTES)
}

/** Whether a link has the format of an upload link's secret. Does not check whether the link exists. */
export function isUploadLinkSecret(link: string): boolean {
  return link.startsWith(UPLOAD_LINK_PREFIX)
}

/** Returns a new key for signing links, as base64url. */
export function newLinkKey(): string {
  return randomText(KEY_BYTES)
}

/** Returns a new 256-bit key for sealing secrets, as base64url. */
export function newSealingKey(): string {
  return randomText(KEY_BYTES)
}

/** Returns the SHA-256 of a secret as hex. A secret has 256 random bits, so a slow hash would not make it safer. */
export async function hashSecret(secret: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(secret)))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Compares two texts. For texts of equal length, the time does not depend on where they differ. */
export function isEqualConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

/** Signs and verifies the payload of links with HMAC-SHA256. */
export interface LinkSigner {
  /** Returns `<payload>.<signature>`, both base64url. */
  sign(payload: unknown): Promise<string>
  /** Returns the payload; undefined when the signature does not match the key. */
  open(link: string): Promise<unknown>
}

/** Creates a signer with a key from `newLinkKey`. */
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

/** Encodes bytes as base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}

/** Decodes base64url text. Throws when the text is not base64url. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
}
