// What the page of an address shows, so that it is looked at again only when that changes.

import { placeAt } from '../place-at.ts'
import type { MarkScope } from './marks.ts'

/** Returns the scope of an address. */
export function scopeOf({ pathname, searchParams }: Pick<URL, 'pathname' | 'searchParams'>): MarkScope {
  const at = placeAt(pathname)
  const store = at?.kind === 'named' && at.place.subject === 'store' ? at.name : (searchParams.get('store') ?? undefined)
  // A list of several stores is one of the fleet.
  return { store: store === '' || store?.includes(',') ? undefined : store, hasReads: pathname === '/audit' }
}
