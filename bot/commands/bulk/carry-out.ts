// Carries out a bulk run: item after item, until none waits, the run is cancelled, or the process stops.

import { errorText } from '../../../protocol/errors.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import type { CommandContext } from '../command.ts'
import type { FollowedTask } from '../../../protocol/views/view.ts'
import { act } from './act.ts'
import type { Acted } from './act.ts'
import type { BulkItem, BulkRun } from '../../bulk/bulk-run.ts'
import type { BulkRuns, Holder } from '../../bulk/bulk-runs.ts'

/** Copies of one run that are in progress at the same time: most of the time of each is the network's. Other operations go one after the other. */
export const COPIES_AT_ONCE = 4
/** Shortest time between two Views of progress, in milliseconds: Slack's edits are not faster. */
const PROGRESS_INTERVAL_MS = 3_000

export interface CarryOutDeps {
  readonly runs: BulkRuns
  /** Returns the context in which the next item is acted upon: with the roles that count then. */
  readonly context: () => Promise<CommandContext>
  readonly owner: string
  /** Stops the process, not the run: another process goes on with it. */
  readonly stop?: AbortSignal
  /** Ends the following of tasks, which go on in their stores; their items then count as failed. */
  readonly unfollow?: AbortSignal | undefined
  /** Receives how far the run is. */
  readonly onProgress?: (tasks: readonly FollowedTask[]) => void
}

/** How an item ended in this process. */
export interface ItemResult {
  readonly item: BulkItem
  readonly acted: Acted
}

/** Carries out a run that this process has. Returns it with what was done here; the run has not ended if the process stops or another one has it. */
export async function carryOut(deps: CarryOutDeps, run: BulkRun): Promise<{ readonly run: BulkRun; readonly results: readonly ItemResult[] }> {
  const { runs, stop, unfollow } = deps
  const holder: Holder = { id: run.id, owner: deps.owner }
  const results: ItemResult[] = []
  const tasks = new Map<number, FollowedTask>()
  const { clock } = await deps.context()
  let shownMs = clock.nowMs()
  const progress = (): void => {
    deps.onProgress?.([...tasks.values()])
    if (clock.nowMs() - shownMs < PROGRESS_INTERVAL_MS) return
    shownMs = clock.nowMs()
    runs.show(run.id, shownMs, [...tasks.values()])
  }
  const work = async (): Promise<void> => {
    while (!stop?.aborted) {
      const context = await deps.context()
      const item = runs.next(holder, clock.nowMs())
      if (!item) return
      const acted = await safely(() =>
        act({
          ...{ context, run, item, signal: stop ?? unfollow },
          onTask: (task) => {
            runs.ordered(holder, item.n, task.task.id)
            tasks.set(item.n, task)
          },
          onProgress: (task) => {
            tasks.set(item.n, task)
            runs.renew(holder, clock.nowMs())
            progress()
          },
        }),
      )
      tasks.delete(item.n)
      if (acted.kind === 'left' && stop?.aborted) return
      results.push({ item, acted })
      runs.settle(holder, item.n, endOf(acted), clock.nowMs())
      progress()
    }
  }
  const isCopy = run.verb === 'sync' || run.verb === 'migrate'
  await Promise.all(Array.from({ length: isCopy ? COPIES_AT_ONCE : 1 }, work))
  const ended = stop?.aborted ? runs.find(run.id) : runs.finish(holder, clock.nowMs())
  results.sort((a, b) => a.item.n - b.item.n)
  return { run: ended ?? run, results }
}

function endOf(acted: Acted): { state: 'done' | 'failed'; detail: string; next: string } {
  if (acted.kind === 'left') return { state: 'failed', detail: 'No longer followed; its task goes on in the store.', next: 'See task list.' }
  if (acted.kind === 'done') return { state: 'done', detail: acted.detail, next: '' }
  return { state: 'failed', detail: acted.problem.detail, next: acted.problem.action }
}

/** A defect in one item must not stop the others. */
async function safely(work: () => Promise<Acted>): Promise<Acted> {
  try {
    return await work()
  } catch (error) {
    return { kind: 'failed', problem: makeProblem('internal', `The bot failed: ${errorText(error)}`) }
  }
}
