// What people below operator see of tasks. The tokens of the bot see every image, and a task names images that these people may not see.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Task, TaskKind } from '../../../protocol/task.ts'
import { UNKNOWN } from '../../../protocol/views/phrases.ts'

/** Tasks on a whole store, which name no image outside of their results. */
const STORE_KINDS: ReadonlySet<TaskKind> = new Set(['gc', 'scrub', 'cleanup', 'expire', 'recover', 'reconcile', 'heal'])

/** Returns a task as a person with this role sees it: without names of images, results and causes for people below operator. */
export function visibleTask(task: Task, role: Role): Task {
  if (roleIncludes(role, 'operator')) return task
  const { id, kind, state, progress, createdBy, createdAt, endedAt, pausedAt, continuesAt, error } = task
  const subject = STORE_KINDS.has(kind) ? task.subject : UNKNOWN
  const times = { ...(pausedAt === undefined ? {} : { pausedAt }), ...(continuesAt === undefined ? {} : { continuesAt }) }
  const base = { id, kind, state, progress, subject, createdBy, createdAt, endedAt, ...times }
  if (!error) return base
  const { type, title, status } = error
  return { ...base, error: { type, title, status, detail: `${title}.`, action: 'An operator sees the whole reason.' } }
}
