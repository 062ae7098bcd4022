// Imports a file that the agent itself found on the mount path, and judges how that ended.

import type { ImageDraft } from '../../protocol/images/image.ts'
import { problemCode } from '../../protocol/problems.ts'
import type { Problem, ProblemCode } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import { problemOf } from '../contract/failures.ts'
import type { Tasks } from '../contract/work.ts'
import type { Imports } from './imports.ts'
import type { FileIdentity } from './source.ts'

/** A file of the mount path, and the ids that were chosen for it before its import. */
export interface FoundFile {
  /** Relative to the mount path. */
  readonly path: string
  readonly identity: FileIdentity
  readonly uploadId: string
  readonly imageId: string
}

/** How an import ended. */
export type FileOutcome =
  | { readonly kind: 'available' }
  /** The file never becomes an image as it is. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The file was changed or removed while it was read. */
  | { readonly kind: 'changed' }
  /** The file may become an image later. */
  | { readonly kind: 'later'; readonly reason: string }

export interface FileImportDeps {
  readonly imports: Pick<Imports, 'start'>
  readonly tasks: Pick<Tasks, 'ended'>
  readonly origin: 'inbox' | 'existing'
}

/** Imports one file, or waits for its import in progress. Rejects only with the reason of the signal. */
export type ImportFile = (file: FoundFile, draft: ImageDraft, signal: AbortSignal) => Promise<FileOutcome>

/** Problems that another attempt with the same bytes would meet again. */
const FINAL: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  'unsafe-image',
  'format-mismatch',
  'unsupported-format',
  'forbidden',
  'kind-not-accepted',
  'digest-mismatch',
  'payload-too-large',
  'invalid-input',
  'source-refused',
  'source-not-allowed',
  'not-found',
  'cancelled',
])

export function createFileImport({ imports, tasks, origin }: FileImportDeps): ImportFile {
  return async ({ path, identity, uploadId, imageId }, draft, signal) => {
    const location = { kind: 'mount', path, identity } as const
    // No token stands behind it: the name takes the place of the token id in quotas. Whoever writes to the mount path may add any image.
    const creator = { name: origin, tokenId: origin, role: 'admin' } as const
    try {
      const task = await imports.start({ location, credentials: {}, origin, draft, creator, ids: { uploadId, imageId } })
      return outcomeOf(await unlessAborted(tasks.ended(task.id), signal))
    } catch (error) {
      signal.throwIfAborted()
      return outcomeOfProblem(problemOf(error).problem)
    }
  }
}

function outcomeOf({ state, error }: Task): FileOutcome {
  if (state === 'succeeded') return { kind: 'available' }
  if (state === 'cancelled') return { kind: 'refused', reason: 'Its import was cancelled. Move it back into place to import it again.' }
  return error ? outcomeOfProblem(error) : { kind: 'later', reason: 'Its import failed.' }
}

function outcomeOfProblem(problem: Problem): FileOutcome {
  const code = problemCode(problem)
  if (code === 'source-changed') return { kind: 'changed' }
  const reason = `${problem.detail} ${problem.action}`
  return FINAL.has(code) ? { kind: 'refused', reason } : { kind: 'later', reason }
}

/** Resolves with a promise. Rejects with the reason of the signal when it is aborted first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
