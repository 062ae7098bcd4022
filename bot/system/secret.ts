// Secrets of links and sessions. The database has their hashes only: whoever reads it cannot enter.

/** Random bytes of a secret. */
const SECRET_BYTES = 32
/** A secret as it is written: 32 bytes in base64url. */
const SECRET = /^[A-Za-z0-9_-]{43}$/

/** Makes a secret of 256 random bits, in base64url. */
export function makeSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString('base64url')
}

/** Whether a text has the form of a secret; others are not looked for. */
export function isSecret(text: string): boolean {
  return SECRET.test(text)
}

/** The hash under which a secret is stored. */
export function hashOf(secret: string): string {
  return new Bun.CryptoHasher('sha256').update(secret).digest('hex')
}
