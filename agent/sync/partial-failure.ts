// A sync of many images goes on when one of them fails: the failure belongs to that image, and the task fails at its end. Failures of the task itself,
// such as a stop of the agent, end it at once.

import { problem, ProblemError } from '../../protocol/problems.ts'
import { isGrantToken } from '../../protocol/sync/sync-grant.ts'
import type { SourceAddress, SyncResult } from '../../protocol/sync/sync.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { TaskContext } from '../contract/work.ts'
import type { ConnectDeps } from './sources/connect.ts'
import type { SourcePool } from './sources/source-pool.ts'
import type { TaskImage, TaskImages } from './task-images.ts'

/** Failed images that the problem of a task names. */
const NAMED_MAX = 3

/** What the parts of one run share. */
export interface SyncRun {
  readonly deps: ConnectDeps & { readonly clock: Clock; readonly log: Log }
  readonly pool: SourcePool
  readonly context: TaskContext
  readonly parts: TaskImages
  readonly addresses: readonly SourceAddress[]
}

/** Returns what `work` returns; undefined if it failed, which its part then says. Throws what ends the whole task. */
export async function attempt<T>({ deps, context, addresses }: SyncRun, part: TaskImage, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    context.signal.throwIfAborted()
    const shown = explained(error, addresses)
    if (!(shown instanceof ProblemError)) throw error
    deps.log.warn('an image of a sync could not be copied', { taskId: context.taskId, detail: shown.message })
    part.failed(shown.problem)
    return undefined
  }
}

/** Returns the error as the problem of an ended grant, if a source refused one; otherwise the error. */
export function explained(error: unknown, addresses: readonly SourceAddress[]): unknown {
  if (!(error instanceof ProblemError) || error.code !== 'peer-refused') return error
  const refused = error.cause instanceof ProblemError && error.cause.code === 'unauthenticated'
  const source = addresses.find(({ url, token }) => isGrantToken(token) && error.message.startsWith(`${url} `))
  if (!refused || !source) return error
  return problem('grant-ended', `The grant of ${source.url} for this copy has expired or was revoked.`, {}, { cause: error })
}

/**
 * Throws if images could not be copied: the problem of the only one, or a problem with the code of the first that counts and names them. The result
 * of the task has the problem of each.
 */
export function requireAll(parts: TaskImages): void {
  const failures = parts.failures()
  const [first] = failures
  if (!first) return
  const all = parts.list().length
  if (all === 1) throw new ProblemError(first.error)
  const named = failures.slice(0, NAMED_MAX).map(({ name, error }) => `${name}: ${error.detail}`)
  const more = failures.length > NAMED_MAX ? ` And ${failures.length - NAMED_MAX} more.` : ''
  const detail = `${failures.length} of ${all} images were not copied; the others are here. ${named.join(' ')}${more}`
  throw new ProblemError({ ...first.error, detail, failed: failures.length, total: all })
}

/** Returns the bytes that were not moved, of all images. */
export function totalsOf(parts: TaskImages, dryRun: boolean): Pick<SyncResult, 'bytesAvoided' | 'dryRun'> {
  const bytesAvoided = parts.list().reduce((sum, { bytesPresent = 0, bytesZero = 0 }) => sum + bytesPresent + bytesZero, 0)
  return { bytesAvoided, ...(dryRun ? { dryRun } : {}) }
}
