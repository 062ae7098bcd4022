// Bulk runs as tasks: `task show B12`, `task cancel B12`, `task retry B12`, and their rows in `task list`.

import { roleIncludes } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { roleIn } from '../permit.ts'
import { runAgain } from '../bulk/begin.ts'
import { bulkCard, bulkReport, bulkJson, bulkProgress, bulkTone, bulkWord } from '../../bulk/bulk-card.ts'
import { bulkId, hasEnded, parseBulkId } from '../../bulk/bulk-run.ts'
import type { BulkItem, BulkRun } from '../../bulk/bulk-run.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import type { FollowedTask, Row, View } from '../../../protocol/views/view.ts'
import type { CommandContext, CommandInput } from '../command.ts'
import { gate } from '../destroy.ts'
import { visibleTask } from './visible-task.ts'

/** Bulk runs that a list of tasks shows. */
const RUNS_LISTED_MAX = 20
/** Images that a question describes; the rest is counted. */
const DESCRIBED_MAX = 10

/** The run that this id names; undefined for other ids. Throws `not-found` for one that is not known, or that the actor may not see. */
export function oneBulkRun(context: CommandContext, text: string): BulkRun | undefined {
  const id = parseBulkId(text)
  if (id === undefined) return undefined
  const run = context.bulkRuns.find(id)
  if (!run || !seesRun(context, run)) throw problem('not-found', `No bulk run "${text}".`, { action: 'List them with task list.' })
  return run
}

/** Whether a run is shown: to the person who began it, and to operators of every store in it. */
function seesRun({ actor, bulkRuns, fleet }: CommandContext, run: BulkRun): boolean {
  if (roleIncludes(actor.role, 'operator') || (actor.id !== undefined && actor.id === run.actorId)) return true
  const stores = new Set(bulkRuns.items(run.id).map(({ store }) => store))
  const records = fleet.registry.list()
  return [...stores].every((name) => {
    const record = records.find((one) => one.name === name)
    return record !== undefined && roleIncludes(roleIn(actor, record), 'operator')
  })
}

export function showBulkRun({ bulkRuns, clock }: CommandContext, run: BulkRun): View {
  return bulkCard(run, bulkRuns.items(run.id), clock.nowMs())
}

/** A run with its images, and its tasks in progress as their stores say now. A store that does not answer is left out: its task goes on without the bot. */
export async function watchBulkRun(context: CommandContext, run: BulkRun): Promise<View> {
  const { bulkRuns, clock, fleet, actor } = context
  const items = bulkRuns.items(run.id)
  const begun = hasEnded(run) ? [] : items.filter(({ state, task }) => state === 'running' && task !== '')
  const found = await Promise.all(
    begun.map(async ({ store, task }): Promise<FollowedTask[]> => {
      const record = fleet.registry.find(store)
      const contact = record && (await fleet.contact(record, (agent) => agent.tasks.get(task)))
      return record && contact?.kind === 'answered' ? [{ store, task: visibleTask(contact.value, roleIn(actor, record)) }] : []
    }),
  )
  return bulkReport(run, items, clock.nowMs(), found.flat())
}

/** Cancels a run before its next item. Throws `conflict` if it has ended or is being cancelled. */
export function cancelBulkRun(context: CommandContext, run: BulkRun): View {
  requireRole(context, run)
  const cancelled = context.bulkRuns.cancel(run.id, context.actor.name, context.clock.nowMs())
  if (!cancelled) throw problem('conflict', `${bulkId(run)} is not running: ${bulkWord(run.state)}.`, { action: `See task show ${bulkId(run)}.` })
  // The card of the run shows it to everyone in the channel.
  return { ...showBulkRun(context, cancelled), isPrivate: true }
}

/** Runs what failed or was skipped once more; asks for the name again when that destroys something. Throws `conflict` if there is nothing. */
export async function retryBulkRun(context: CommandContext, input: Pick<CommandInput, 'confirm' | 'plan'>, run: BulkRun): Promise<View> {
  requireRole(context, run)
  const left = context.bulkRuns.items(run.id).filter(({ state }) => state === 'failed' || state === 'skipped')
  const missing = destroys(run) && left.length > 0 && run.endedMs !== null ? gate(context, input, retryPlan(run, left)) : undefined
  if (missing) return missing
  const view = await runAgain(context, run.id)
  if (view) return view
  throw problem('conflict', `${bulkId(run)} has nothing to retry: ${bulkWord(run.state)}.`, { action: `See task show ${bulkId(run)}.` })
}

function requireRole({ actor, fleet, bulkRuns }: CommandContext, run: BulkRun): void {
  const known = fleet.registry.list()
  for (const name of new Set(bulkRuns.items(run.id).map(({ store }) => store))) {
    const store = known.find((one) => one.name === name)
    if (!roleIncludes(store ? roleIn(actor, store) : actor.role, 'operator'))
      throw problem('forbidden', `${bulkId(run)} acts in ${name}, where ${actor.name} is no operator.`, { action: 'Ask an admin of the bot.' })
  }
}

function destroys({ verb }: BulkRun): boolean {
  return verb === 'delete' || verb === 'purge' || verb === 'migrate'
}

function retryPlan(run: BulkRun, left: readonly BulkItem[]): Parameters<typeof gate>[2] {
  const described = left.slice(0, DESCRIBED_MAX).map(({ name, image, store }) => `${name} (${image}) in ${store}`)
  const more = left.length > DESCRIBED_MAX ? ` and ${left.length - DESCRIBED_MAX} more` : ''
  return {
    title: `Retry ${bulkId(run)}: ${run.title}`,
    names: [plural(left.length, 'image')],
    question: `image ${run.verb} would run again for what failed or was not begun: ${described.join('; ')}${more}.`,
    essence: left.map(({ image, store }) => `${image} ${store}`),
    checklist: [],
    command: `task retry ${bulkId(run)}`,
  }
}

/** The runs that a person sees, as rows and for `--json`. */
export function bulkRows(context: CommandContext): { readonly rows: readonly Row[]; readonly json: readonly Record<string, unknown>[] } {
  const runs = context.bulkRuns.list(RUNS_LISTED_MAX).filter((run) => seesRun(context, run))
  return { rows: runs.map(toRow), json: runs.map(bulkJson) }
}

function toRow(run: BulkRun): Row {
  return {
    tone: bulkTone(run.state),
    cells: {
      ...{ id: bulkId(run), store: 'several', kind: `image ${run.verb}`, state: bulkWord(run.state).toLowerCase(), subject: run.title },
      ...{ progress: bulkProgress(run), created: formatAt(run.startedMs), by: run.actor, reason: '' },
    },
  }
}
