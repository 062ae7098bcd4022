// Recovery: what a crash or a failure left of uploads. A start removes uploads whose address no client learnt. Publishing runs in the
// background, so that no upload can prevent a start, and is retried until it succeeds.

import { problemOf } from '../contract/failures.ts'
import { completeUpload } from './complete.ts'
import type { UploadsContext } from './context.ts'
import { adjustSpace } from './limits/limits.ts'
import { isWhole, offsetOf } from './record/upload.ts'

/** How often publishing is retried, in milliseconds. */
const RETRY_MS = 60_000

/** Removes uploads whose address no client learnt, and promises the others their space again. */
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

/** Publishes uploads that are whole but not published, one at a time. */
export interface Recovery extends AsyncDisposable {
  /** Resolves when no attempt is in progress. */
  settled(): Promise<void>
}

/** Starts the first attempt at once. Disposing ends the attempt in progress; the next start makes another one. */
export function startRecovery(context: UploadsContext): Recovery {
  const { clock, table, locks, log, emit } = context
  const ended = new AbortController()
  const reported = new Set<string>()

  const publish = async (id: string): Promise<void> => {
    // A request that holds the lock publishes the upload itself.
    using lock = locks.tryAcquire(id)
    const upload = lock && (await table.find(id))
    if (upload) await completeUpload(context, upload, ended.signal)
  }
  const report = (id: string, error: unknown): void => {
    log.warn('upload could not be published; it is retried', { upload: id, error })
    if (reported.has(id)) return
    reported.add(id)
    const { detail } = problemOf(error).problem
    const message = `Upload ${id} has all its bytes but cannot become an image yet: ${detail} The agent retries every minute; nothing is lost.`
    emit({ type: 'upload.waiting', severity: 'warning', subject: id, message })
  }
  /** Reads the uploads that could not be read at the start, so that whole ones are published without a request. */
  const readAgain = async (): Promise<void> => {
    for (const id of table.unreadable) {
      using lock = locks.tryAcquire(id)
      if (lock) await table.find(id).catch((error: unknown) => log.warn('upload still cannot be read', { upload: id, error }))
    }
  }
  const publishAll = async (): Promise<void> => {
    await readAgain()
    for (const [id, upload] of [...table.live]) {
      const isDone = upload.file.kind === 'partial' && upload.journal.tailLength === 0
      if (ended.signal.aborted) return
      if (isDone || !(isWhole(upload) || upload.journal.isBroken)) continue
      try {
        await publish(id)
        reported.delete(id)
      } catch (error) {
        if (ended.signal.aborted) return
        report(id, error)
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
