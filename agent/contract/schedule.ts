// Schedules as operators see them.

import type { Schedule, ScheduleName, SchedulePatch } from '../../protocol/schedule.ts'
import type { Task } from '../../protocol/task.ts'

export interface ScheduleBoard {
  list(): Schedule[]
  /** Changes a schedule, durable when it returns; throws ProblemError `invalid-input` for a cron expression that never fires. */
  patch(name: ScheduleName, patch: SchedulePatch, by: string): Schedule
  /** Starts the task of a schedule, or returns the running one: a schedule never overlaps itself. */
  run(name: ScheduleName, by: string): Promise<Task>
}
