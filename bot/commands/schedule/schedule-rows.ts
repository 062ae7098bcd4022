// Schedules as answers, and the targets that name one.

import { nearestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import { scheduleNameSchema } from '../../../protocol/schedule.ts'
import type { Schedule, ScheduleName } from '../../../protocol/schedule.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, Row, View } from '../../../protocol/views/view.ts'
import { formatWireTime, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { CommandContext, TargetSpec } from '../command.ts'
import { oneStore } from '../select.ts'

export const SCHEDULE_COLUMNS: readonly Column[] = [
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'name', label: 'Schedule', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'cron', label: 'Cron' },
  { key: 'next', label: 'Next run' },
  { key: 'last', label: 'Last run', isMinor: true },
  { key: 'result', label: 'Last result', isMinor: true },
]

/** Targets of a command on one schedule; the store is optional when there is only one. */
export const SCHEDULE_TARGETS: readonly TargetSpec[] = [
  { name: 'S', about: 'name of a store', subject: 'store' },
  { name: 'NAME', about: `one of ${scheduleNameSchema.options.join(', ')}`, subject: 'schedule', choices: scheduleNameSchema.options, optional: true },
]

export function scheduleRow(store: string, schedule: Schedule): Row {
  return {
    tone: schedule.paused ? 'warning' : 'good',
    cells: {
      store,
      name: schedule.name,
      state: schedule.running ? 'running' : schedule.paused ? 'paused' : 'waiting',
      cron: `${schedule.cron} (${schedule.timezone})`,
      next: formatWireTime(schedule.nextRunAt),
      last: formatWireTime(schedule.lastRunAt),
      result: schedule.lastResult ?? UNKNOWN,
    },
  }
}

export function schedulesView(title: string, items: readonly { store: string; schedule: Schedule }[], asOfMs: number, json: unknown): View {
  return makeView({ title, columns: SCHEDULE_COLUMNS, rows: items.map(({ store, schedule }) => scheduleRow(store, schedule)), asOfMs, json })
}

/** The View of a schedule that was changed. */
export function changedView(title: string, store: StoreRecord, schedule: Schedule, asOfMs: number): View {
  return schedulesView(title, [{ store: store.name, schedule }], asOfMs, { store: store.name, ...schedule, asOf: formatTime(asOfMs) })
}

/** Reads `S NAME`, or `NAME` alone when there is only one store; `rest` holds the other words. */
export function namedSchedule(context: CommandContext, targets: readonly string[]): { store: StoreRecord; name: ScheduleName; rest: readonly string[] } {
  const [first = '', ...others] = targets
  const alone = scheduleNameSchema.safeParse(first)
  if (alone.success && !context.fleet.registry.find(first))
    return { store: oneStore(context, undefined, `Write the name of one of them before ${first}.`), name: alone.data, rest: others }
  const store = oneStore(context, first)
  const [text = '', ...rest] = others
  const named = scheduleNameSchema.safeParse(text)
  if (named.success) return { store, name: named.data, rest }
  const meant = nearestName(text, scheduleNameSchema.options)
  const detail = text === '' ? 'The name of the schedule is missing.' : `${store.name} has no schedule "${text}".`
  throw problem('invalid-input', detail, { action: meant === undefined ? `Use one of: ${scheduleNameSchema.options.join(', ')}.` : `Did you mean ${meant}?` })
}
