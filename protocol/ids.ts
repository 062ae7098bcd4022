// Opaque ids: a prefix that tells the kind and 26 characters of base 32, time first so that ids sort by age.

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const TIME_CHARACTERS = 10
const RANDOM_BYTES = 16

/** Kinds of resource that have ids. `evt` is not among them: events are numbered. */
export type IdPrefix = 'img' | 'upl' | 'tsk' | 'exp' | 'tok' | 'lnk' | 'req'

/** A new id such as `img_01jd…`: 48 bits of time, 80 bits of randomness (the layout of ULID). */
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

/** Whether text has the shape of an id of this kind; says nothing of its existence. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^[0-9a-hjkmnp-tv-z]{26}$/.test(text.slice(prefix.length + 1))
}
