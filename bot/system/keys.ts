// Keys that encrypt the tokens of agents in the bot's database: AES-256-GCM, the key of a token beside it by its id.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** A key and what names it without telling it. */
export interface Key {
  readonly id: string
  readonly bytes: Uint8Array
}

/** Makes a random key. */
export function makeKey(): Key {
  return toKey(randomBytes(KEY_BYTES))
}

/** Reads the keys of a key file: 32 bytes as base64 or as 64 hexadecimal digits, one key a line, the newest first. Undefined when a line is no key. */
export function parseKeys(text: string): Key[] | undefined {
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
  const keys = lines.flatMap((line) => parseKey(line) ?? [])
  return lines.length > 0 && keys.length === lines.length ? keys : undefined
}

/** The text of a key file. */
export function formatKeys(keys: readonly Key[]): string {
  return keys.map(({ bytes }) => `${Buffer.from(bytes).toString('base64')}\n`).join('')
}

function parseKey(line: string): Key | undefined {
  const bytes = Buffer.from(line, /^[0-9a-f]{64}$/i.test(line) ? 'hex' : 'base64')
  const isBase64 = bytes.toString('base64').replace(/=+$/, '') === line.replace(/=+$/, '')
  return bytes.length === KEY_BYTES && (isBase64 || line.length === 64) ? toKey(bytes) : undefined
}

function toKey(bytes: Uint8Array): Key {
  return { id: createHash('sha256').update('slipway-bot-key').update(bytes).digest('hex').slice(0, 16), bytes }
}

/** Encrypts a text, bound to what must be the same when it is read. Returns base64 of nonce, encrypted bytes and tag. */
export function seal(key: Key, text: string, bound: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce)
  cipher.setAAD(Buffer.from(bound))
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** Decrypts what `seal` returned; undefined when it was changed, is bound to something else or has another key. */
export function unseal(key: Key, sealed: string, bound: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(bound))
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    // The tag does not match; the caller says so.
    return undefined
  }
}
