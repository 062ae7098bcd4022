// Tasks as answers, and how a write follows its tasks until they end.

import { problemCode } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { spaceAdvice } from '../../fleet/advice.ts'
import { quoteOption } from '../../views/quote.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Action, Field, FollowedTask, Outcome, Tone, View } from '../../../protocol/views/view.ts'
import { formatBytes, formatWireTime, isEnded, plural, progressWords, taskTone, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { CommandContext } from '../command.ts'

/** Most tasks that `task show` takes: each store is asked for each of them. */
export const TASKS_SHOWN_MAX = 20
/** Interval between two requests about a running task, in milliseconds: short at first, for tasks that end at once. */
const FOLLOW_INTERVAL_FIRST_MS = 100
const FOLLOW_INTERVAL_MAX_MS = 1_000

/** The tasks of a command; `title` says what the command was. */
export function tasksView(title: string, tasks: readonly FollowedTask[], asOfMs: number, notes: readonly string[] = []): View {
  const [first] = tasks
  const outcome: Outcome = tasks.some(({ task }) => task.state === 'failed' || task.state === 'cancelled') ? 'failed' : 'done'
  const watch = watchLine(tasks)
  const base = { title, outcome, tone: worstTone(tasks), progress: tasks, notes, asOfMs, actions: tasks.flatMap(taskActions), ...(watch ? { watch } : {}) }
  if (first && tasks.length === 1) return makeView({ ...base, fields: taskFields(first), json: { ...taskJson(first), asOf: formatTime(asOfMs) } })
  return makeView({
    ...base,
    text: `${plural(tasks.length, 'task')}: ${tasks.map(({ store, task }) => `${store} ${task.state}`).join(', ')}`,
    fields: tasks.flatMap((followed) => taskFields(followed, `${followed.store}: `)),
    json: { items: tasks.map(taskJson), asOf: formatTime(asOfMs) },
  })
}

function watchLine(tasks: readonly FollowedTask[]): string | undefined {
  if (tasks.length > TASKS_SHOWN_MAX || tasks.every(({ task }) => isEnded(task.state))) return undefined
  const stores = [...new Set(tasks.map(({ store }) => store))].join(',')
  return ['task show', ...tasks.map(({ task }) => task.id), quoteOption('store', stores)].join(' ')
}

/** A task for `--json`: the members of the HTTP interface, and the store. */
export function taskJson({ store, task }: FollowedTask): Record<string, unknown> {
  return { store, ...task }
}

/**
 * Follows the tasks of a View until all have ended and yields each state; the last one is final. When a store stops answering, this
 * keeps waiting, because its task continues without the bot.
 */
export async function* followTasks(context: Pick<CommandContext, 'fleet' | 'clock'>, view: View, signal?: AbortSignal): AsyncGenerator<View> {
  let tasks = view.progress
  let intervalMs = FOLLOW_INTERVAL_FIRST_MS
  while (tasks.some(({ task }) => !isEnded(task.state))) {
    await context.clock.sleep(intervalMs, signal)
    intervalMs = Math.min(FOLLOW_INTERVAL_MAX_MS, intervalMs * 2)
    const notes: string[] = []
    tasks = await Promise.all(
      tasks.map(async (followed) => {
        const record = isEnded(followed.task.state) ? undefined : context.fleet.registry.find(followed.store)
        if (!record) return followed
        const contact = await context.fleet.contact(record, (agent) => agent.tasks.get(followed.task.id))
        if (contact.kind === 'answered') return { store: followed.store, task: contact.value }
        notes.push(`The state of the task in ${followed.store} is unknown: ${contact.kind === 'stopped' ? contact.reason : contact.problem.detail}`)
        if (contact.kind === 'stopped') return followed
        return { store: followed.store, task: { ...followed.task, state: 'failed' as const, endedAt: formatTime(contact.asOfMs), error: contact.problem } }
      }),
    )
    yield tasksView(view.title, tasks, context.clock.nowMs(), [...view.notes, ...notes])
  }
}

function taskFields({ store, task }: FollowedTask, prefix = ''): Field[] {
  const fields: Field[] = [
    { label: `${prefix}Task`, value: task.id },
    { label: `${prefix}State`, value: task.state, tone: taskTone(task.state) },
    { label: `${prefix}Work`, value: task.subject === store ? `${task.kind} of ${store}` : `${task.kind} of ${task.subject} in ${store}` },
    { label: `${prefix}Progress`, value: progressWords(task) },
    { label: `${prefix}Started`, value: `${formatWireTime(task.createdAt)} by ${task.createdBy}` },
  ]
  if (task.endedAt !== null) fields.push({ label: `${prefix}Ended`, value: formatWireTime(task.endedAt) })
  for (const [key, value] of Object.entries(task.result ?? {})) fields.push({ label: `${prefix}${resultLabel(key)}`, value: resultText(key, value) })
  if (task.error) {
    const isFull = problemCode(task.error) === 'insufficient-storage'
    fields.push(
      { label: `${prefix}Reason`, value: task.error.detail, tone: 'bad' },
      { label: `${prefix}Next`, value: isFull ? spaceAdvice({ name: store }) : task.error.action },
    )
  }
  return fields
}

function taskActions({ task }: FollowedTask): Action[] {
  if (!isEnded(task.state)) return [...pauseActions(task), { label: 'Cancel', command: `task cancel ${task.id}`, role: 'operator', style: 'danger' }]
  if (task.state === 'failed' || task.state === 'cancelled') return [{ label: 'Retry', command: `task retry ${task.id}`, role: 'operator', style: 'primary' }]
  return []
}

/** Only a sync can be paused. */
function pauseActions({ id, kind, pausedAt }: FollowedTask['task']): Action[] {
  if (kind !== 'sync') return []
  const verb = pausedAt === undefined ? 'pause' : 'resume'
  return [{ label: verb === 'pause' ? 'Pause' : 'Resume', command: `task ${verb} ${id}`, role: 'operator' }]
}

function worstTone(tasks: readonly FollowedTask[]): Tone {
  const tones = tasks.map(({ task }) => taskTone(task.state))
  for (const tone of ['bad', 'warning', 'plain'] as const) if (tones.includes(tone)) return tone
  return 'good'
}

/** `bytesMoved` → `Bytes moved`. */
function resultLabel(key: string): string {
  const words = key.replaceAll(/([A-Z])/g, ' $1').toLowerCase()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function resultText(key: string, value: unknown): string {
  if (value === null || value === undefined) return UNKNOWN
  if (typeof value === 'number') return /bytes/i.test(key) ? formatBytes(value) : String(value)
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((item) => itemText(item)).join('; ')
  return itemText(value)
}

function itemText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  const members: [string, unknown][] = Object.entries(value)
  return members.map(([key, member]) => `${key} ${resultText(key, member)}`).join(', ')
}

/** The cells of a task in a table. */
export function taskCells({ store, task }: FollowedTask): Record<string, string> {
  return {
    id: task.id,
    store,
    kind: task.kind,
    state: task.state,
    subject: task.subject,
    progress: progressWords(task),
    created: formatWireTime(task.createdAt),
    by: task.createdBy,
    reason: task.error?.detail ?? '',
  }
}
