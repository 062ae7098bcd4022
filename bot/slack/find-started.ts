// Finds the tasks that commands started before the bot was killed, and gives the people who asked for them their cards.

import { formatOnBehalf, parseOnBehalf, personOfName } from '../../protocol/on-behalf.ts'
import { syncResultSchema } from '../../protocol/sync/sync.ts'
import type { Task, TaskKind } from '../../protocol/task.ts'
import type { CommandContext } from '../commands/command.ts'
import { tasksView } from '../commands/task/task-view.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Started, StartedTask } from '../started/started.ts'
import type { Log } from '../system/log.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { FollowedTask, View } from '../../protocol/views/view.ts'
import type { Cards } from './cards.ts'

/** Tasks of a store that are searched. */
const TASKS_READ_MAX = 100
/** The route that runs a task again. */
const RETRIED = /^\/v1\/tasks\/(?<id>[^/]+)\/retry$/

export interface FindStartedDeps {
  /** What an earlier run of the bot left. */
  readonly left: readonly StartedTask[]
  readonly started: Pick<Started, 'forget'>
  readonly cards: Pick<Cards, 'open'>
  /** The context in which stores are asked. */
  readonly context: CommandContext
  readonly log: Log
}

/** Looks once for what an earlier run of the bot left; each command gets one card, in the transaction that forgets its requests. */
export async function findStarted({ left, started, cards, context, log }: FindStartedDeps): Promise<void> {
  const taken = new Set(left.map(({ task }) => task))
  for (const [ask, rows] of Map.groupBy(left, (row) => row.ask)) {
    const [first] = rows
    if (!first) continue
    try {
      const found: FollowedTask[] = []
      const unknown: string[] = []
      for (const row of rows) {
        const answer = await findTask(context, row, taken)
        if (answer.kind === 'found') {
          taken.add(answer.followed.task.id)
          found.push(answer.followed)
        } else if (answer.kind === 'unknown') unknown.push(answer.store)
      }
      const view = found.length > 0 ? foundView(context, first, found, unknown) : interruptedView(context, first, unknown)
      cards.open(first.channel, first.user, view, () => started.forget(ask))
      record(context, first, view)
    } catch (error) {
      log.error('the task of a killed command was not looked for', { error, command: first.command })
    }
  }
}

type Found = { readonly kind: 'found'; readonly followed: FollowedTask } | { readonly kind: 'none' } | { readonly kind: 'unknown'; readonly store: string }

async function findTask(context: CommandContext, row: StartedTask, taken: ReadonlySet<string>): Promise<Found> {
  const store = context.fleet.registry.list().find(({ url }) => url.replace(/\/$/, '') === row.url)
  if (!store) return { kind: 'unknown', store: row.url }
  const contact = await context.fleet.contact(store, async (agent) => {
    if (row.task !== '') return agent.tasks.get(row.task)
    const retried = RETRIED.exec(row.path)?.groups?.['id']
    if (retried !== undefined) return unlessEnded(await agent.tasks.get(retried))
    if (row.newest === '') return undefined
    const { items } = await agent.tasks.list({ limit: TASKS_READ_MAX })
    return items.find((task) => isOf(row, task) && !taken.has(task.id))
  })
  if (contact.kind !== 'answered' || (row.task === '' && row.newest === '' && !RETRIED.test(row.path))) return { kind: 'unknown', store: store.name }
  const task = contact.value
  // A dry run only made a plan, which nobody has seen.
  if (!task || syncResultSchema.safeParse(task.result).data?.dryRun) return { kind: 'none' }
  return { kind: 'found', followed: { store: store.name, task } }
}

/** A retried task keeps its id: while it has not succeeded or is not in progress, it was not retried. */
function unlessEnded(task: Task): Task | undefined {
  return task.state === 'failed' || task.state === 'cancelled' ? undefined : task
}

/** Whether a task was started by this request: newer than all before it, for the same person, and of the kind that the route starts. */
function isOf({ newest, person, path }: StartedTask, { id, createdBy, kind }: Task): boolean {
  const named = parseOnBehalf(formatOnBehalf(person) ?? '')
  return (newest === 'none' || id > newest) && personOfName(createdBy) === named && kindsOf(path).includes(kind)
}

function kindsOf(path: string): readonly TaskKind[] {
  if (path === '/v1/sync') return ['sync']
  if (path === '/v1/images') return ['import']
  if (path === '/v1/store/cleanup') return ['cleanup']
  if (path === '/v1/reconcile') return ['reconcile']
  if (path.endsWith('/exports')) return ['export']
  return ['sync', 'import', 'export', 'cleanup', 'scrub', 'expire', 'gc', 'reconcile']
}

function foundView({ clock }: CommandContext, { command }: StartedTask, tasks: readonly FollowedTask[], unknown: readonly string[]): View {
  const notes = ['The bot was stopped when this began, and has found it again.', ...unknownNotes(unknown)]
  // A task that has failed meanwhile is an answer that the channel is owed.
  return { ...tasksView(command, tasks, clock.nowMs(), notes), outcome: 'done' }
}

function interruptedView({ clock }: CommandContext, { command }: StartedTask, unknown: readonly string[]): View {
  const asOfMs = clock.nowMs()
  return makeView({
    title: `Interrupted: ${command}`,
    text: unknown.length === 0 ? 'The bot was stopped before it began. Nothing was changed.' : 'The bot was stopped while it began.',
    tone: 'warning',
    fields: [{ label: 'Next', value: unknown.length === 0 ? `Run it again: ${command}` : 'Look with task list whether it runs; if not, run it again.' }],
    notes: unknownNotes(unknown),
    asOfMs,
    json: { command, asOf: formatTime(asOfMs) },
  })
}

function unknownNotes(stores: readonly string[]): string[] {
  return stores.length === 0 ? [] : [`Whether a task began there is not known: ${[...new Set(stores)].join(', ')}.`]
}

function record({ audit, clock }: CommandContext, { command, person, channel }: StartedTask, view: View): void {
  audit.append({
    ...{ timeMs: clock.nowMs(), actor: person, surface: 'service', channel, effect: 'write', command, target: '' },
    outcome: view.progress.length > 0 ? 'done' : 'failed',
    detail: view.progress.length > 0 ? `Found again after the bot was stopped: ${view.progress.map(({ task }) => task.id).join(', ')}` : view.text,
  })
}
