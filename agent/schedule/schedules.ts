// Runs the schedules: every second starts the tasks that are due, and saves how they ended.

import { z } from 'zod'
import { errorText } from '../../protocol/errors.ts'
import { problem } from '../../protocol/problems.ts'
import { scheduleNameSchema } from '../../protocol/schedule.ts'
import type { Schedule, ScheduleName, SchedulePatch } from '../../protocol/schedule.ts'
import type { Task } from '../../protocol/task.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { ScheduleBoard } from '../contract/schedule.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent, Tasks } from '../contract/work.ts'
import { judgeCron, nextRunMs, planSchedules } from './plan.ts'
import type { ScheduleTiming } from './plan.ts'

const TICK_MS = 1000
/** Starting a task that could not be started is retried after this time, in milliseconds. */
const RETRY_MS = 60_000
/** Under which the states of the schedules are kept. */
export const SCHEDULES_KEY = 'schedules'
/** Longest time between two evaluations of the schedules, in milliseconds. */
const QUIET_MS_MAX = 60_000
const NOT_QUIET = { fromMs: 0, toMs: 0 } as const

/** The kept states by name. */
export const keptSchedulesSchema = z.record(
  z.string(),
  z.object({
    /** Null while the expression of the configuration applies. */
    cron: z.string().nullable(),
    paused: z.boolean(),
    anchorMs: z.number(),
    lastRunMs: z.number().nullable(),
    lastTaskId: z.string().nullable(),
    lastResult: z.string().nullable(),
    hasFailed: z.boolean(),
  }),
)
type KeptSchedule = z.infer<typeof keptSchedulesSchema>[string]

export interface SchedulesDeps {
  /** Cron expressions of the configuration. */
  readonly configured: Readonly<Record<ScheduleName, string>>
  readonly timezone: string
  /** Starts the task of a schedule, or returns the one that is in progress. */
  readonly jobs: Readonly<Record<ScheduleName, (createdBy: string) => Promise<Task>>>
  readonly tasks: Pick<Tasks, 'get' | 'ended'>
  readonly kept: KeptValues
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
}

/** What the health check needs of a schedule. */
export interface ScheduleFacts {
  readonly name: ScheduleName
  readonly paused: boolean
  readonly running: boolean
  readonly nextRunMs: number | null
  readonly lastFailure: string | null
}

/** The schedules of an agent. Nothing fires before `start`; disposing stops the timer and leaves running tasks alone. */
export class Schedules implements ScheduleBoard, Disposable {
  readonly #deps: SchedulesDeps
  readonly #states: Map<ScheduleName, KeptSchedule>
  readonly #notBeforeMs = new Map<ScheduleName, number>()
  readonly #starting = new Set<ScheduleName>()
  #ticks: Disposable | undefined
  /** Nothing is due in this interval. */
  #quiet: { readonly fromMs: number; readonly toMs: number } = NOT_QUIET

  private constructor(deps: SchedulesDeps, states: Map<ScheduleName, KeptSchedule>) {
    this.#deps = deps
    this.#states = states
  }

  /** Opens the schedules in their saved state. */
  static open(deps: SchedulesDeps): Schedules {
    const kept = keptSchedulesSchema.parse(deps.kept.read(SCHEDULES_KEY) ?? {})
    const fresh: KeptSchedule = {
      cron: null,
      paused: false,
      anchorMs: deps.clock.nowMs(),
      lastRunMs: null,
      lastTaskId: null,
      lastResult: null,
      hasFailed: false,
    }
    const schedules = new Schedules(deps, new Map(scheduleNameSchema.options.map((name) => [name, kept[name] ?? fresh])))
    schedules.#save()
    return schedules
  }

  /** Starts firing. */
  start(): void {
    for (const [name, { lastTaskId, lastResult }] of this.#states) if (lastTaskId !== null && lastResult === null) void this.#follow(name, lastTaskId)
    this.#ticks = this.#deps.clock.every(TICK_MS, () => this.#tick())
  }

  list(): Schedule[] {
    return scheduleNameSchema.options.map((name) => this.#show(name))
  }

  /** Returns the state of all schedules for the health check. */
  facts(): ScheduleFacts[] {
    const nowMs = this.#deps.clock.nowMs()
    return scheduleNameSchema.options.map((name) => {
      const { hasFailed, lastResult } = this.#state(name)
      const timing = this.#timing(name)
      return { name, paused: timing.paused, running: timing.running, nextRunMs: nextRunMs(timing, nowMs), lastFailure: hasFailed ? lastResult : null }
    })
  }

  patch(name: ScheduleName, patch: SchedulePatch, by: string): Schedule {
    const { clock, timezone, emit } = this.#deps
    if (patch.cron !== undefined) {
      const verdict = judgeCron(patch.cron, timezone, clock.nowMs())
      if (verdict.kind === 'refused')
        throw problem('invalid-input', `cron is not valid: ${verdict.reason}.`, { errors: [{ in: 'body', member: 'cron', message: verdict.reason }] })
    }
    const state = this.#state(name)
    // Times missed under the old expression, or while the schedule was paused, are not made up for.
    this.#change(name, { cron: patch.cron ?? state.cron, paused: patch.paused ?? state.paused, anchorMs: clock.nowMs() })
    emit({ type: 'schedule.changed', severity: 'info', subject: name, actor: by, message: `${by} changed the schedule ${name}.`, details: { ...patch } })
    return this.#show(name)
  }

  async run(name: ScheduleName, by: string): Promise<Task> {
    const state = this.#state(name)
    const present = state.lastTaskId === null ? undefined : this.#deps.tasks.get(state.lastTaskId)
    if (present && present.endedAt === null) return present
    const task = await this.#deps.jobs[name](by)
    const nowMs = this.#deps.clock.nowMs()
    this.#change(name, { anchorMs: nowMs, lastRunMs: nowMs, lastTaskId: task.id, lastResult: null, hasFailed: false })
    void this.#follow(name, task.id)
    return task
  }

  [Symbol.dispose](): void {
    this.#ticks?.[Symbol.dispose]()
  }

  #tick(): void {
    const { clock, log } = this.#deps
    const nowMs = clock.nowMs()
    // Nothing is due before `#quiet` ends, unless the clock was set. Evaluating cron expressions every second would be most of an idle agent's cost.
    if (nowMs >= this.#quiet.fromMs && nowMs < this.#quiet.toMs) return
    const plan = planSchedules(
      scheduleNameSchema.options.map((name) => this.#timing(name)),
      nowMs,
    )
    for (const name of plan.skip) {
      log.info('a schedule is due while its last run is in progress; this run is skipped', { schedule: name })
      this.#note(name, { anchorMs: nowMs })
    }
    for (const name of plan.start) void this.#fire(name)
    const next = this.facts().map(({ nextRunMs: ms }) => ms ?? Number.POSITIVE_INFINITY)
    this.#quiet = { fromMs: nowMs, toMs: Math.min(nowMs + QUIET_MS_MAX, ...next) }
  }

  /** Never rejects. */
  async #fire(name: ScheduleName): Promise<void> {
    this.#starting.add(name)
    try {
      await this.run(name, 'schedule')
      this.#notBeforeMs.delete(name)
    } catch (error) {
      this.#deps.log.error('a schedule could not start its task', { schedule: name, error })
      this.#notBeforeMs.set(name, this.#deps.clock.nowMs() + RETRY_MS)
      this.#note(name, { lastResult: `could not start: ${errorText(error)}`, hasFailed: true })
    } finally {
      this.#starting.delete(name)
    }
  }

  /** Saves how a task ended. Never rejects. */
  async #follow(name: ScheduleName, taskId: string): Promise<void> {
    let end: Partial<KeptSchedule>
    try {
      const task = await this.#deps.tasks.ended(taskId)
      end = { lastResult: describeEnd(task), hasFailed: task.state === 'failed' }
    } catch {
      // The row of the task was pruned, so its end is unknown.
      end = { lastResult: 'unknown' }
    }
    if (this.#state(name).lastTaskId === taskId) this.#note(name, end)
  }

  #state(name: ScheduleName): KeptSchedule {
    const state = this.#states.get(name)
    if (!state) throw new Error(`no schedule ${name}`)
    return state
  }

  #change(name: ScheduleName, change: Partial<KeptSchedule>): void {
    this.#states.set(name, { ...this.#state(name), ...change })
    this.#quiet = NOT_QUIET
    this.#save()
  }

  /** Makes a change that no caller waits for. When it cannot be saved now, it stays in memory and is saved with the next change. */
  #note(name: ScheduleName, change: Partial<KeptSchedule>): void {
    try {
      this.#change(name, change)
    } catch (error) {
      this.#deps.log.warn('the state of a schedule could not be saved', { schedule: name, error })
    }
  }

  #save(): void {
    this.#deps.kept.write(SCHEDULES_KEY, Object.fromEntries(this.#states))
  }

  #timing(name: ScheduleName): ScheduleTiming {
    const { cron, paused, anchorMs, lastTaskId } = this.#state(name)
    const last = lastTaskId === null ? undefined : this.#deps.tasks.get(lastTaskId)
    return {
      name,
      cron: cron ?? this.#deps.configured[name],
      timezone: this.#deps.timezone,
      paused,
      running: this.#starting.has(name) || (last !== undefined && last.endedAt === null),
      anchorMs,
      notBeforeMs: this.#notBeforeMs.get(name) ?? 0,
    }
  }

  #show(name: ScheduleName): Schedule {
    const { lastRunMs, lastResult, lastTaskId } = this.#state(name)
    const timing = this.#timing(name)
    const nextMs = nextRunMs(timing, this.#deps.clock.nowMs())
    return {
      name,
      cron: timing.cron,
      timezone: timing.timezone,
      paused: timing.paused,
      running: timing.running,
      lastRunAt: lastRunMs === null ? null : formatTime(lastRunMs),
      lastResult,
      lastTaskId,
      nextRunAt: nextMs === null ? null : formatTime(nextMs),
    }
  }
}

function describeEnd(task: Task): string {
  if (task.state === 'failed') return `failed: ${task.error?.detail ?? 'no reason given'}`
  const tookMs = task.endedAt === null ? 0 : Date.parse(task.endedAt) - Date.parse(task.createdAt)
  return `${task.state} after ${formatDuration(tookMs)}`
}
