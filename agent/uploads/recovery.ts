// Recovery: what a crash or a failure left of uploads. A start removes what no client was told of; publishing runs beside the agent, so
// that no upload can keep it from starting, and is retried until it works.

import { problemOf } from '../contract/failures.ts'
import { completeUpload } from './complete.ts'
import type { UploadsContext } from './context.ts'
import { adjustSpace } from './limits/limits.ts'
import { isWhole, offsetOf } from './record/upload.ts'

/** How often uploads that are whole but not published are tried again, in milliseconds. */
const RETRY_MS = 60_000

/** Removes uploads that no client was told of, and promises the others their space again. */
export async function restoreUploads({ table, space, log }: UploadsContext): Promise<void> {
  for (const upload of [...table.live.values()]) {
    const { id, length, kind } = upload.file
    try {
      // The creation of a final upload is answered when its journal is whole.
      if (kind === 'final' && offsetOf(upload) !== length) await table.remove(upload.file)
      else await adjustSpace(space, upload)
    } catch (error) {
      log.error('upload could not be restored', { upload: id, error })
    }
  }
}

/** Publishes, one after the other, uploads that are whole but not published. */
export interface Recovery extends AsyncDisposable {
  /** Resolves when no attempt is running. */
  settled(): Promise<void>
}

/** Starts the first attempt at once. Disposing ends the attempt that is running; the next start makes another one. */
export function startRecovery(context: UploadsContext): Recovery {
  const { clock, table, locks, log, emit } = context
  const ended = new AbortController()
  const told = new Set<string>()

  const publish = async (id: string): Promise<void> => {
    // Somebody who works on the upload publishes it too.
    using lock = locks.tryAcquire(id)
    const upload = lock && (await table.find(id))
    if (upload) await completeUpload(context, upload, ended.signal)
  }
  const tell = (id: string, error: unknown): void => {
    log.warn('upload could not be published; it is tried again', { upload: id, error })
    if (told.has(id)) return
    told.add(id)
    const { detail } = problemOf(error).problem
    const message = `Upload ${id} has all its bytes but cannot become an image yet: ${detail} The agent tries again every minute; nothing is lost.`
    emit({ type: 'upload.waiting', severity: 'warning', subject: id, message })
  }
  const publishAll = async (): Promise<void> => {
    for (const [id, upload] of [...table.live]) {
      const isDone = upload.file.kind === 'partial' && upload.journal.tailLength === 0
      if (ended.signal.aborted) return
      if (isDone || !(isWhole(upload) || upload.journal.isBroken)) continue
      try {
        await publish(id)
        told.delete(id)
      } catch (error) {
        if (ended.signal.aborted) return
        tell(id, error)
      }
    }
  }

  let running: Promise<void> | undefined
  const run = (): void => {
    running ??= publishAll().finally(() => (running = undefined))
  }
  const retrying = clock.every(RETRY_MS, run)
  run()
  return {
    settled: () => running ?? Promise.resolve(),
    async [Symbol.asyncDispose]() {
      retrying[Symbol.dispose]()
      ended.abort(new Error('the agent is stopping'))
      await running
    },
  }
}
