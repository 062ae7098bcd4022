// Orders a sync: the one way in which this bot makes a store copy images from another one. The target never gets a token of the bot: each source
// makes a grant for it, which reads these images and nothing else.

import { problem } from '../../../protocol/problems.ts'
import type { SyncRequest } from '../../../protocol/sync/sync.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { FollowedTask } from '../../views/view.ts'
import type { CommandContext } from '../command.ts'
import { answerOf } from '../select.ts'

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
  /** Further members of the request. */
  readonly request?: Pick<SyncRequest, 'dryRun' | 'limits'>
}

/**
 * Starts a sync in the target store and returns its task. A target that runs the same sync already returns that task. Throws ProblemError when one of
 * the stores refuses or does not answer; a store of `others` that does not give a grant is left out.
 */
export async function orderSync(context: CommandContext, { source, others = [], target, images, request = {} }: SyncOrder): Promise<FollowedTask> {
  const sources = [{ url: source.url, token: await grantFor(context, { source, target, images }) }]
  for (const other of others) {
    const made = await requestGrant(context, { source: other, target, images })
    if (made.kind === 'answered') sources.push({ url: other.url, token: made.value.token })
  }
  const order = (from: Pick<SyncRequest, 'source' | 'sources'>) =>
    context.fleet.contact(target, (agent) => agent.sync({ ...from, ...request, images: [...images] }))
  const [first] = sources
  const contact = await order(sources.length === 1 && first ? { source: first } : { sources })
  // An agent of an earlier version knows `source` only.
  const isOlder = contact.kind === 'refused' && contact.error.code === 'invalid-input' && sources.length > 1
  return { store: target.name, task: answerOf(isOlder && first ? await order({ source: first }) : contact) }
}

type GrantOrder = Pick<SyncOrder, 'source' | 'target' | 'images'>

function requestGrant(context: CommandContext, { source, target, images }: GrantOrder) {
  const named = target.storeId === null ? {} : { target: target.storeId }
  return context.fleet.contact(source, (agent) => agent.syncGrants.create({ images: [...images], ...named, hours: GRANT_HOURS }))
}

/** Returns the token of a grant of the source for the target. Throws ProblemError when the source gives none. */
async function grantFor(context: CommandContext, order: GrantOrder): Promise<string> {
  const made = await requestGrant(context, order)
  if (made.kind !== 'refused') return answerOf(made).token
  // `There is no image` is an answer of the route itself.
  if (!UNKNOWN_ROUTE.has(made.error.code) || /image/i.test(made.problem.detail)) throw made.error
  throw problem('conflict', `The agent of ${order.source.name} is too old to give ${order.target.name} a grant for these images only.`, {
    action: `Upgrade the agent of ${order.source.name}, or copy from another store with from=.`,
  })
}
