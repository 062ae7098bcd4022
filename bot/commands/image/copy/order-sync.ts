// Orders a sync: the one way in which this bot makes a store copy images from another one. The target never gets a token of the bot: each source
// makes a grant for it, which reads these images and nothing else, and which only the target can use. The target keeps it to repair its copies.

import { problem } from '../../../../protocol/problems.ts'
import { storeKeySchema } from '../../../../protocol/sync/grant-proof.ts'
import type { NewSyncGrant } from '../../../../protocol/sync/sync-grant.ts'
import type { SourceAddress, SyncRequest } from '../../../../protocol/sync/sync.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { checkPlacement } from '../../placement.ts'
import { answerOf } from '../../select.ts'

/** Life of a grant in hours: long enough for a large image over a slow line. A task whose grant has ended gets another one with task retry. */
const GRANT_HOURS = 72
/** Codes with which an agent refuses a route that it does not have. */
const UNKNOWN_ROUTE: ReadonlySet<string> = new Set(['not-found', 'method-not-allowed'])

export interface SyncOrder {
  readonly source: StoreRecord
  /** More stores that have the images. The target prefers the fastest, and goes on with the others when one fails. */
  readonly others?: readonly StoreRecord[]
  readonly target: StoreRecord
  /** Ids of images at the source. */
  readonly images: readonly string[]
  /** Receives each grant that is made, with the store that made it. */
  readonly onGrant?: (store: StoreRecord, id: string) => void
  /** Further members of the request. */
  readonly request?: Omit<SyncRequest, 'source' | 'sources' | 'images'>
}

/**
 * Starts a sync in the target store and returns its task. A target that runs the same sync already returns that task. Throws ProblemError when one of
 * the stores refuses or does not answer; a store of `others` that does not give a grant is left out.
 */
export async function orderSync(context: CommandContext, { source, others = [], target, images, onGrant, request = {} }: SyncOrder): Promise<FollowedTask> {
  checkPlacement(context, target)
  const targetKey = await keyOf(context, target)
  const bind = async (from: StoreRecord): Promise<Binding> =>
    // An agent that announces no key of its own knows grants for any store only.
    targetKey === undefined || (await keyOf(context, from)) === undefined ? {} : { targetKey, ...(request.dryRun === true ? {} : { healing: true }) }
  const sourceOf = (from: StoreRecord, token: string, { healing }: Binding): SourceAddress => ({ url: from.url, token, ...(healing ? { healing } : {}) })
  const binding = await bind(source)
  const grant = await grantFor(context, { source, target, images, binding })
  onGrant?.(source, grant.id)
  const sources = [sourceOf(source, grant.token, binding)]
  for (const other of others) {
    const ofOther = await bind(other)
    const made = await requestGrant(context, { source: other, target, images, binding: ofOther })
    if (made.kind === 'answered') onGrant?.(other, made.value.id)
    if (made.kind === 'answered') sources.push(sourceOf(other, made.value.token, ofOther))
  }
  const order = (from: Pick<SyncRequest, 'source' | 'sources'>) =>
    context.fleet.contact(target, (agent) => agent.sync({ ...from, ...request, images: [...images] }))
  const [first] = sources
  const contact = await order(sources.length === 1 && first ? { source: first } : { sources })
  // An agent of an earlier version knows `source` only.
  const isOlder = contact.kind === 'refused' && contact.error.code === 'invalid-input' && sources.length > 1
  return { store: target.name, task: answerOf(isOlder && first ? await order({ source: first }) : contact) }
}

/** Members of a grant that bind it to the key of the target, and let the target keep it for repairs. */
type Binding = Pick<NewSyncGrant, 'targetKey' | 'healing'>
type GrantOrder = Pick<SyncOrder, 'source' | 'target' | 'images'> & { readonly binding: Binding }

/** Returns the public key of a store; undefined for an agent of an earlier version, and for a store that does not answer. */
async function keyOf(context: CommandContext, store: StoreRecord): Promise<string | undefined> {
  const contact = await context.fleet.contact(store, (agent) => agent.store.identify())
  return contact.kind === 'answered' ? storeKeySchema.safeParse(contact.value.protocol?.key).data : undefined
}

function requestGrant(context: CommandContext, { source, target, images, binding }: GrantOrder) {
  const named = target.storeId === null ? {} : { target: target.storeId }
  return context.fleet.contact(source, (agent) => agent.syncGrants.create({ images: [...images], ...named, ...binding, hours: GRANT_HOURS }))
}

/** Returns a grant of the source for the target. Throws ProblemError when the source gives none. */
async function grantFor(context: CommandContext, order: GrantOrder): Promise<{ readonly id: string; readonly token: string }> {
  const made = await requestGrant(context, order)
  if (made.kind !== 'refused') return answerOf(made)
  // `There is no image` is an answer of the route itself.
  if (!UNKNOWN_ROUTE.has(made.error.code) || /image/i.test(made.problem.detail)) throw made.error
  throw problem('conflict', `The agent of ${order.source.name} is too old to give ${order.target.name} a grant for these images only.`, {
    action: `Upgrade the agent of ${order.source.name}, or copy from another store with from=.`,
  })
}
