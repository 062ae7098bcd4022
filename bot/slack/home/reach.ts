// How much of the fleet a person sees in the home tab, which belongs to no channel. Pure.

import type { Person, RoleGrant } from '../../access/role-of.ts'
import type { StoreRecord } from '../../fleet/registry.ts'

/** `all` stores, those of `some` zones and stores, or `none`: no grant names the person, or only for channels. */
export type HomeReach =
  | { readonly kind: 'all' }
  | { readonly kind: 'some'; readonly includes: (store: Pick<StoreRecord, 'name' | 'zone'>) => boolean }
  | { readonly kind: 'none'; readonly isInChannels: boolean }

/** Returns how far the grants of a person reach. */
export function homeReach(grants: readonly RoleGrant[], { user, groups }: Person): HomeReach {
  const own = grants.filter(({ subject }) => subject === `user:${user}` || (subject.startsWith('group:') && groups.has(subject.slice('group:'.length))))
  const everywhere = own.filter(({ channel }) => channel === '')
  if (everywhere.length === 0) return { kind: 'none', isInChannels: own.length > 0 }
  if (everywhere.some(({ zone, store }) => zone === '' && store === '')) return { kind: 'all' }
  const isSame = (grant: RoleGrant, { name, zone }: Pick<StoreRecord, 'name' | 'zone'>): boolean =>
    grant.store === '' ? grant.zone === zone : grant.store.toLowerCase() === name.toLowerCase()
  return { kind: 'some', includes: (store) => everywhere.some((grant) => isSame(grant, store)) }
}
