// For whom a request is sent: a bot names the person who asked, so that tasks and events of the agent name that person and not only the token of the bot. It never changes
// what a request may do.

/** Header of a request: the name, percent-encoded (RFC 3986 §2.1) where it is not printable ASCII. */
export const ON_BEHALF_HEADER = 'slipway-on-behalf-of'
/** Longest name in characters, before encoding. */
export const ON_BEHALF_LENGTH_MAX = 120
/** Longest value of the header in characters; each character of a name takes at most 12. */
const HEADER_LENGTH_MAX = ON_BEHALF_LENGTH_MAX * 12

/** What no name has: controls, formats such as those that reorder text, lone surrogates, private and unassigned code points, and line ends. */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu

/** Returns the value of the header for a name, which is cut and freed of what may not be in it; undefined when nothing is left. */
export function formatOnBehalf(name: string): string | undefined {
  const printable = name.toWellFormed().replaceAll(UNPRINTABLE, '').trim()
  const cut = printable.slice(0, ON_BEHALF_LENGTH_MAX).toWellFormed().trim()
  return cut === '' ? undefined : encodeURIComponent(cut)
}

/** Returns the name in the value of a header; undefined for a value that is too long, not encoded rightly, or not printable. */
export function parseOnBehalf(value: string): string | undefined {
  if (value.length > HEADER_LENGTH_MAX) return undefined
  try {
    const name = decodeURIComponent(value).trim()
    return name === '' || name.length > ON_BEHALF_LENGTH_MAX || name.search(UNPRINTABLE) >= 0 ? undefined : name
  } catch {
    return undefined
  }
}

/** The word between the person and the token in the names that tasks and events show. */
const VIA = ' via '

/** How tasks and events name somebody who asked through a token: `ada (U024BE7LH) via slipway-bot`. */
export function onBehalfName(person: string, token: string): string {
  return `${person}${VIA}${token}`
}

/** The person in the name of a creator; undefined when a token asked for itself. */
export function personOfName(name: string): string | undefined {
  const at = name.lastIndexOf(VIA)
  return at < 0 ? undefined : name.slice(0, at)
}

/** The name of the token in the name of a creator: limits count by it. */
export function tokenOfName(name: string): string {
  const at = name.lastIndexOf(VIA)
  return at < 0 ? name : name.slice(at + VIA.length)
}
