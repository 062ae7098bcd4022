// Begins a bulk run for a command. The service carries out what was begun in Slack and on the page, and a card or the page shows how it goes; the console carries it
// out itself and waits for its end.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { CommandContext } from '../command.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { bulkCard, bulkProgress } from '../../bulk/bulk-card.ts'
import { BULK_ITEMS_MAX, BULK_RUNS_MAX, BULK_RUNS_PER_USER_MAX, bulkId, hasEnded } from '../../bulk/bulk-run.ts'
import type { BulkParams, BulkRun, BulkVerb, DraftItem } from '../../bulk/bulk-run.ts'
import { carryOut } from './carry-out.ts'
import type { ItemResult } from './carry-out.ts'

export interface BulkOrder {
  readonly verb: BulkVerb
  /** `Delete 12 images`. */
  readonly title: string
  readonly params?: BulkParams
  readonly items: readonly DraftItem[]
}

/** What a command answers while the service carries the run out, or what this process has done. */
export type BulkOutcome =
  | { readonly kind: 'begun'; readonly view: View }
  | { readonly kind: 'ended'; readonly run: BulkRun; readonly results: readonly ItemResult[] }

/** Begins a run, and carries it out unless the service does. Throws `limit-reached` for too many images or runs. */
export async function runBulk(context: CommandContext, order: BulkOrder): Promise<BulkOutcome> {
  const { bulkRuns: runs, actor, channel, approval, clock } = context
  const surface = surfaceOf(context)
  const count = order.items.length
  if (count > BULK_ITEMS_MAX)
    throw problem('limit-reached', `These are ${count} images; one command takes at most ${BULK_ITEMS_MAX}.`, { action: 'Select fewer, in several commands.' })
  const owner = isHandedOver(context) ? '' : crypto.randomUUID()
  const begun = runs.begin(
    {
      ...{ verb: order.verb, title: order.title, params: order.params ?? {}, surface, actor: actor.name, actorId: actor.id ?? '' },
      ...{ origin: approval ? `approval ${approval.id}` : '', channel: surface === 'slack' ? (channel ?? actor.id ?? '') : '' },
    },
    order.items,
    owner,
    clock.nowMs(),
  )
  if (begun.kind === 'too-many') {
    const most = begun.own ? `At most ${BULK_RUNS_PER_USER_MAX} bulk runs of one person` : `At most ${BULK_RUNS_MAX} bulk runs`
    throw problem('limit-reached', `${most} are in progress at the same time. Nothing was changed.`, {
      action: 'Wait until one ends, or cancel one: task list shows them.',
    })
  }
  if (isHandedOver(context)) return { kind: 'begun', view: begunView(context, begun.run) }
  return { kind: 'ended', ...(await carryOutHere(context, begun.run, owner)) }
}

/** Whether the service carries out what is begun here. A request of the page does not wait for a run: it takes hours over a slow link, and a closed tab must not cancel it. */
function isHandedOver({ surface }: CommandContext): boolean {
  return surface === 'slack' || surface === 'page'
}

/** As what a run is kept: what people of Slack begin on the page has its card as a direct message. */
function surfaceOf({ surface, actor }: CommandContext): BulkRun['surface'] {
  if (surface !== 'page') return surface
  return actor.id === undefined ? 'console' : 'slack'
}

/** Runs what failed or was skipped in a run once more; undefined if there is nothing. */
export async function runAgain(context: CommandContext, id: number): Promise<View | undefined> {
  const { bulkRuns: runs, clock } = context
  // The service carries out what was begun in Slack, also when the console asks for it.
  const isHandedOn = isHandedOver(context) || runs.find(id)?.surface === 'slack'
  const owner = isHandedOn ? '' : crypto.randomUUID()
  const run = runs.reopen(id, owner, clock.nowMs())
  if (!run) return undefined
  if (isHandedOn) return begunView(context, run)
  return endedView(context, (await carryOutHere(context, run, owner)).run)
}

/** Carries out a run in this process. An interrupt cancels it, and no longer follows its tasks. */
async function carryOutHere(context: CommandContext, run: BulkRun, owner: string): Promise<{ run: BulkRun; results: readonly ItemResult[] }> {
  const { bulkRuns: runs, actor, clock, signal, onInterim } = context
  const cancel = (): void => void runs.cancel(run.id, actor.name, clock.nowMs())
  signal?.addEventListener('abort', cancel)
  try {
    if (signal?.aborted) cancel()
    const onProgress = (tasks: View['progress']): void => {
      const now = onInterim && runs.find(run.id)
      if (now) onInterim({ ...bulkCard(now, [], clock.nowMs()), title: `${now.title}: ${bulkProgress(now)}`, progress: tasks })
    }
    return await carryOut({ runs, context: () => Promise.resolve(context), owner, unfollow: signal, onProgress }, run)
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

/** The answer to whoever began a run: its card on the page; elsewhere a private one, because the card in the channel shows the rest. */
function begunView({ bulkRuns, clock, surface }: CommandContext, run: BulkRun): View {
  const asOfMs = clock.nowMs()
  if (surface === 'page') return bulkCard(run, bulkRuns.items(run.id), asOfMs)
  return makeView({
    title: `${bulkId(run)}: ${run.title}`,
    text: `Begun. The card shows how it goes; task show ${bulkId(run)} does too.`,
    isPrivate: true,
    actions: hasEnded(run) ? [] : [{ label: 'Cancel', command: `task cancel ${bulkId(run)}`, role: 'operator', style: 'danger' }],
    asOfMs,
    json: { run: bulkId(run), asOf: formatTime(asOfMs) },
  })
}

/** A run that has ended, as the answer of a command. */
export function endedView({ bulkRuns, clock }: CommandContext, run: BulkRun): View {
  const view = bulkCard(run, bulkRuns.items(run.id), clock.nowMs())
  return { ...view, outcome: run.state === 'done' ? 'done' : 'failed' }
}
