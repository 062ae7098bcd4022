// The figures of a copy before it is made: the target says with a dry run which bytes it lacks, and how much space it has.

import { ProblemError } from '../../../../protocol/problems.ts'
import { syncResultSchema } from '../../../../protocol/sync/sync.ts'
import type { SyncResult } from '../../../../protocol/sync/sync.ts'
import type { PlanPromise } from '../../../approvals/plans.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { formatBytes, isEnded } from '../../../../protocol/views/phrases.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { copyDuration } from '../../plan-promises.ts'
import { followTasks, tasksView } from '../../task/task-view.ts'
import type { PlannedCopies } from './order-copies.ts'
import { orderSync } from './order-sync.ts'

/** How long a target may take to say what it lacks, in milliseconds; then the plan says that it is not known. */
export const FIGURES_WAIT_MS = 15_000

/** What copies to one store would do. Bytes without compression; null when the target did not say. */
export interface CopyFigures {
  readonly target: StoreRecord
  readonly missingBytes: number | null
  /** Bytes of the images that are not sent: slices that the target has, and zeros. */
  readonly presentBytes: number | null
  readonly availableBytes: number | null
  /** Length of the images in bytes, and what they take where they are. */
  readonly length: number
  readonly storedBytes: number
}

/** Asks the targets, one figure for each. What they lack is counted for each image on its own: slices that several new images share are counted more than once. */
export async function copyFigures(context: CommandContext, orders: readonly PlannedCopies[]): Promise<CopyFigures[]> {
  const byTarget = [...Map.groupBy(orders, ({ target }) => target.name).values()]
  return Promise.all(
    byTarget.map(async (own) => {
      const target = (own[0] as PlannedCopies).target
      const results = await Promise.all(own.map((order) => dryRun(context, order)))
      const contact = await context.fleet.contact(target, (agent) => agent.store.get())
      const images = results.flatMap((result) => result?.images ?? [])
      const isKnown = results.every((result) => result !== undefined)
      return {
        target,
        missingBytes: isKnown ? images.reduce((sum, { outcome, bytesMoved = 0 }) => sum + (outcome.startsWith('would-') ? bytesMoved : 0), 0) : null,
        presentBytes: isKnown ? images.reduce((sum, { bytesPresent = 0, bytesZero = 0 }) => sum + bytesPresent + bytesZero, 0) : null,
        availableBytes: contact.kind === 'answered' ? contact.value.capacity.available : null,
        length: own.flatMap((order) => order.images).reduce((sum, { length }) => sum + length, 0),
        storedBytes: own.flatMap((order) => order.images).reduce((sum, { storedSize, length }) => sum + (storedSize ?? length), 0),
      }
    }),
  )
}

/** The figures as promises of a plan. What changes without anybody's doing, such as free space, is an estimate. */
export async function copyPromises(context: CommandContext, figures: readonly CopyFigures[]): Promise<PlanPromise[]> {
  const promises = await Promise.all(
    figures.map(async ({ target, missingBytes, presentBytes, availableBytes, length, storedBytes }): Promise<PlanPromise[]> => {
      const label = (text: string): string => (figures.length === 1 ? text : `${text}, ${target.name}`)
      const bytes = `at most ${formatBytes(missingBytes ?? storedBytes)} to copy: slices that ${target.name} has are not sent`
      const duration = await copyDuration(context, target, missingBytes ?? storedBytes)
      return [
        { label: label('Bytes'), value: bytes },
        {
          label: label('Already there'),
          value:
            presentBytes === null ? `not known: ${target.name} did not say what it has` : `${formatBytes(presentBytes)} of ${formatBytes(length)}, with zeros`,
        },
        {
          label: label('Space'),
          value: availableBytes === null ? 'not known' : `${formatBytes(availableBytes)} available in ${target.name}`,
          isEstimate: true,
        },
        { ...duration, label: label(duration.label) },
      ]
    }),
  )
  return promises.flat()
}

/** Whether the bytes to copy may not fit into a target. Compressed they may still. */
export function mayNotFit({ missingBytes, availableBytes }: CopyFigures): boolean {
  return missingBytes !== null && availableBytes !== null && missingBytes > availableBytes
}

/** Returns what a copy would do; undefined when the target does not say it. The grants for it are taken back. */
async function dryRun(context: CommandContext, order: PlannedCopies): Promise<SyncResult | undefined> {
  const grants: { readonly store: StoreRecord; readonly id: string }[] = []
  const onGrant = (store: StoreRecord, id: string): void => void grants.push({ store, id })
  try {
    const images = order.images.map(({ id }) => id)
    const begun = await orderSync(context, { ...order, images, onGrant, request: { dryRun: true } })
    const { task } = await waitFor(context, begun)
    return task.state === 'succeeded' ? syncResultSchema.safeParse(task.result).data : undefined
  } catch (error) {
    // A store that refuses the copy says so when it is ordered.
    if (error instanceof ProblemError) return undefined
    throw error
  } finally {
    // One that stays ends by itself.
    for (const { store, id } of grants) await context.fleet.contact(store, (agent) => agent.tokens.delete(id))
  }
}

/** Follows a task until it ends or the time is over; it is then cancelled. */
async function waitFor(context: CommandContext, begun: FollowedTask): Promise<FollowedTask> {
  const over = new AbortController()
  const isDone = new AbortController()
  void context.clock.sleep(FIGURES_WAIT_MS, isDone.signal).then(
    () => over.abort(),
    () => {},
  )
  let last = begun
  try {
    for await (const view of followTasks(context, tasksView('', [begun], context.clock.nowMs()), over.signal)) last = view.progress[0] ?? last
  } catch (error) {
    if (!over.signal.aborted) throw error
    await context.fleet.contact(context.fleet.registry.find(begun.store) as StoreRecord, (agent) => agent.tasks.cancel(begun.task.id))
  } finally {
    isDone.abort()
  }
  return isEnded(last.task.state) ? last : begun
}
