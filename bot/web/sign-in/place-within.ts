// Where somebody goes after entering: the address that was asked for, if it is one of this page.

/** Longest address that is kept, in characters: it must fit into a cookie. */
export const PLACE_LENGTH_MAX = 1000
/** Any origin serves to read a path; an address that leads elsewhere has another one afterwards. */
const OWN = 'http://page.invalid'

/** Returns path and query of an address within the page; `/` for anything else. An address that only enters or leaves is no place to return to. */
export function placeWithin(address: string | undefined): string {
  if (address === undefined || address.length > PLACE_LENGTH_MAX || !address.startsWith('/')) return '/'
  const url = URL.parse(address, OWN)
  if (!url || url.origin !== OWN || /^\/(?:\/|(?:enter|leave)(?:\/|$))/.test(url.pathname)) return '/'
  return url.pathname + url.search
}
