// Opaque ids: a prefix for the kind, and 26 characters of base 32 that begin with the time, so that ids sort by age.

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARACTERS = 10
const RANDOM_BYTES = 16

/** Prefixes of ids, one for each kind of resource. Events have numbers instead. */
export type IdPrefix = 'img' | 'upl' | 'tsk' | 'exp' | 'tok' | 'lnk' | 'req'

/** Returns a new id such as `img_01jd…`, with 48 bits of time and 80 random bits (the layout of ULID). */
export function newId(prefix: IdPrefix, nowMs: number, random: Uint8Array = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES))): string {
  let text = ''
  let time = nowMs
  for (let i = 0; i < TIME_CHARACTERS; i++) {
    text = ALPHABET.charAt(time % 32) + text
    time = Math.floor(time / 32)
  }
  for (const byte of random.subarray(0, RANDOM_BYTES)) text += ALPHABET.charAt(byte % 32)
  return `${prefix}_${text}`
}

/** Whether text has the format of an id of this kind. Does not check whether the resource exists. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^[0-9a-hjkmnp-tv-z]{26}$/.test(text.slice(prefix.length + 1))
}
