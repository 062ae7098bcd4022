// Access to a store: opens its tokens and links, and authenticates requests by either.

import type { Authenticator } from '../contract/access.ts'
import { openLinks } from './links.ts'
import type { Links, LinksDeps } from './links.ts'
import { openTokens } from './tokens.ts'
import type { Tokens, TokensDeps } from './tokens.ts'

export interface Access {
  readonly authenticator: Authenticator
  readonly tokens: Tokens
  readonly links: Links
}

/**
 * Opens tokens and links. Creates an admin token at the first start, and whenever there is no admin token that never expires.
 *
 * @example
 * const access = await openAccess({ kept, clock, emit, configuredSecret: config.adminToken, writeFirstSecret: (secret) => writeSecretFile(path, secret) })
 */
export async function openAccess(deps: TokensDeps & Omit<LinksDeps, 'findToken'>): Promise<Access> {
  const tokens = await openTokens(deps)
  const links = await openLinks({ ...deps, findToken: (id) => tokens.find(id) })
  return { authenticator: { byToken: (secret) => tokens.bySecret(secret), byLink: (link, request) => links.check(link, request) }, tokens, links }
}
