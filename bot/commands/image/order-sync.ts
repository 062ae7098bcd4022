// Orders a sync: the one way in which this bot makes a store copy images from another one.

import type { StoreRecord } from '../../fleet/registry.ts'
import type { FollowedTask } from '../../views/view.ts'
import type { CommandContext } from '../command.ts'
import { answerOf } from '../select.ts'

/** Lifetime in seconds of the token that a target store gets for its source: long enough for a large image over a slow link. */
const READING_TOKEN_SECONDS = 7 * 86_400

export interface SyncOrder {
  readonly source: StoreRecord
  readonly target: StoreRecord
  /** Ids of images at the source. */
  readonly images: readonly string[]
}

/**
 * Starts a sync in the target store and returns its task. A target that runs the same sync already returns that task. Throws ProblemError when one of
 * the stores refuses or does not answer.
 */
export async function orderSync(context: CommandContext, { source, target, images }: SyncOrder): Promise<FollowedTask> {
  const token = await readingToken(context, source, target)
  const contact = await context.fleet.contact(target, (agent) => agent.sync({ source: { url: source.url, token }, images: [...images] }))
  return { store: target.name, task: answerOf(contact) }
}

/** A token for the other agent that may only read; the bot's own token when it may not create one. */
async function readingToken(context: CommandContext, source: StoreRecord, target: StoreRecord): Promise<string> {
  const order = { name: `sync to ${target.name}`, role: 'viewer' as const, ttlSeconds: READING_TOKEN_SECONDS }
  const made = await context.fleet.contact(source, (agent) => agent.tokens.create(order))
  return made.kind === 'refused' ? source.token : answerOf(made).token
}
