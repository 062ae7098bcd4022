// Which place an address names: for the routes, and for the stream that follows what a page shows.

import { NAMED_PLACES, PLACES } from './places.ts'
import type { NamedPlace, Place, PlacePart, Tab } from './places.ts'

/** A place, and the name in its address. */
export type PlaceAt =
  | { readonly kind: 'list'; readonly place: Place; readonly parts: readonly PlacePart[] }
  | { readonly kind: 'named'; readonly place: NamedPlace; readonly tab: Tab; readonly name: string; readonly parts: readonly PlacePart[] }

/** Returns the place of a path; undefined when it is none, or when it has a route of its own. */
export function placeAt(pathname: string): PlaceAt | undefined {
  const list = PLACES.find(({ path }) => path === pathname)
  if (list) return { kind: 'list', place: list, parts: list.parts }
  const place = NAMED_PLACES.find(({ path }) => pathname.startsWith(path))
  const [encoded = '', slug = '', ...more] = pathname.slice(place?.path.length ?? 0).split('/')
  const tab = place?.tabs.find((candidate) => candidate.slug === slug)
  const name = decoded(encoded)
  if (!place || !tab || name === undefined || name === '' || more.length > 0 || tab.parts.length === 0) return undefined
  return { kind: 'named', place, tab, name, parts: tab.parts }
}

/** A part of an address without percent encoding; undefined when its encoding is not valid. */
export function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
