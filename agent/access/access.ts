// Access to a store: opens its tokens, links and grants to other stores, and authenticates requests by any of them.

import { isGrantToken } from '../../protocol/sync/sync-grant.ts'
import type { Authenticator } from '../contract/access.ts'
import { createGrantProofs } from './grant-proofs.ts'
import { openLinks } from './links.ts'
import type { Links, LinksDeps } from './links.ts'
import { createPageSessions } from './page-sessions.ts'
import type { PageSessions } from './page-sessions.ts'
import { openSyncGrants } from './sync-grants.ts'
import type { SyncGrants } from './sync-grants.ts'
import { openTokens } from './tokens.ts'
import type { Tokens, TokensDeps } from './tokens.ts'

export interface Access {
  readonly authenticator: Authenticator
  readonly tokens: Tokens
  readonly links: Links
  readonly grants: SyncGrants
  readonly page: PageSessions
}

/**
 * Opens tokens, links and grants. Creates an admin token at the first start, and whenever there is no admin token that never expires.
 *
 * @example
 * const access = await openAccess({ kept, clock, emit, configuredSecret: config.adminToken, writeFirstSecret: (secret) => writeSecretFile(path, secret) })
 */
export async function openAccess(deps: TokensDeps & Omit<LinksDeps, 'findToken'>): Promise<Access> {
  const tokens = await openTokens(deps)
  const links = await openLinks({ ...deps, findToken: (id) => tokens.find(id) })
  const proofs = await createGrantProofs(deps)
  const grants = openSyncGrants({ ...deps, proofs, findToken: (id) => tokens.find(id) })
  const page = createPageSessions({ clock: deps.clock, byHash: (hash) => tokens.byHash(hash) })
  return {
    authenticator: {
      byToken: (secret, proof = null) => (isGrantToken(secret) ? grants.bySecret(secret, proof) : tokens.bySecret(secret)),
      byLink: (link, request) => links.check(link, request),
      originOfLink: (link) => links.originOf(link),
      byPageSession: (secret) => page.find(secret),
    },
    // Grants are listed and revoked like tokens. A grant has no further secrets: the target of a failed sync gets another grant.
    tokens: {
      ...tokens,
      list: () => [...tokens.list(), ...grants.list()],
      remove: (id, actor) => (grants.has(id) ? grants.remove(id, actor) : tokens.remove(id, actor)),
    },
    links,
    grants,
    page,
  }
}
