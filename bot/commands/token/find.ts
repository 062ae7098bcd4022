// Finds the token that people mean, by id, unique part of an id, or name.

import type { Token } from '../../../protocol/access.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { problem } from '../../../protocol/problems.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { allPages } from '../all-pages.ts'
import type { CommandContext } from '../command.ts'
import { gapNotes, isPartOf, oneStore } from '../select.ts'

export interface FoundToken {
  readonly store: StoreRecord
  readonly token: Token
}

/** Returns all tokens of one agent, without those that have expired. */
export async function tokensOf(agent: AgentClient, nowMs: number): Promise<Token[]> {
  const tokens = await allPages((query) => agent.tokens.list(query))
  return tokens.filter(({ expiresAt }) => expiresAt === null || Date.parse(expiresAt) > nowMs)
}

/** The one token with this id, part of an id or name. Throws `not-found` or `conflict`. */
export async function oneToken(context: CommandContext, text: string, storeName: string | undefined): Promise<FoundToken> {
  const stores = storeName === undefined ? context.fleet.registry.list() : [oneStore(context, storeName)]
  if (stores.length === 0) oneStore(context, undefined)
  const contacts = await context.fleet.contactAll(stores, (agent) => tokensOf(agent, context.clock.nowMs()))
  const all = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((token) => ({ store: contact.store, token })) : []))
  const byName = all.filter(({ token }) => token.name === text)
  const found = byName.length > 0 ? byName : all.filter(({ token }) => isPartOf(text, token.id))
  const [first] = found
  if (!first) throw problem('not-found', [`No token "${text}".`, ...gapNotes(contacts, 'its tokens')].join(' '), { action: 'List them with token list.' })
  if (found.length === 1) return first
  const list = found.map(({ store, token }) => `${token.id} in ${store.name}`).join(', ')
  throw problem('conflict', `${found.length} tokens match "${text}": ${list}.`, { action: 'Use the id.' })
}
