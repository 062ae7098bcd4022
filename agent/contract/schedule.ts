// Schedules as operators see them.

import type { Schedule, ScheduleName, SchedulePatch } from '../../protocol/schedule.ts'
import type { Task } from '../../protocol/task.ts'

export interface ScheduleBoard {
  list(): Schedule[]
  /** Changes a schedule, durable when it returns; throws ProblemError `invalid-input` for a cron expression that never fires. */
  patch(name: ScheduleName, patch: SchedulePatch, by: string): Schedule
  /** Starts the schedule's task, or gives the one that runs: a schedule never overlaps itself. */
  run(name: ScheduleName, by: string): Promise<Task>
}
