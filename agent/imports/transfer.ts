// Transfers the bytes of a source into an internal upload, until the upload is published. After a cut it opens the source again, checks that it is
// the same, and continues at the durable offset.

import { problem } from '../../protocol/problems.ts'
import type { InternalUpload, InternalUploadOrder, InternalUploads } from '../contract/internal-uploads.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { TaskContext } from '../contract/work.ts'
import { SourceInterrupted } from './source.ts'
import type { ImportSource, OpenSource, SourceFacts } from './source.ts'
import { createSourceStream } from './source-stream.ts'

/** Most attempts in a row that bring less than this many bytes each: at a source that was opened before, and at one that never was. */
const ATTEMPTS_MAX = 8
const FIRST_ATTEMPTS_MAX = 3
const PROGRESS_BYTES_MIN = 1024 * 1024
/** Wait before the second attempt, and the longest wait, in milliseconds. Each wait is twice as long as the one before. */
const WAIT_MS_MIN = 500
const WAIT_MS_MAX = 30_000
/** Most times that a source may turn out to be another one than before, so that the import begins again. */
const RESTARTS_MAX = 3

export interface TransferDeps {
  readonly clock: Clock
  readonly log: Log
  readonly uploads: InternalUploads
  readonly crashPoint: CrashPoint
}

/** What is transferred, and into which upload. */
export interface Transfer {
  readonly order: InternalUploadOrder
  readonly source: ImportSource
}

/** Transfers a source. Resolves with the published upload. Throws ProblemError, or the reason of the signal; what arrived is durable. */
export async function transferSource(deps: TransferDeps, { order, source }: Transfer, context: TaskContext): Promise<InternalUpload> {
  const { uploads, crashPoint } = deps
  const attempts = createAttempts(deps, context.signal)
  const identify = createIdentification(uploads, order)
  let upload = await uploads.create(order)
  while (!upload.isPublished) {
    context.signal.throwIfAborted()
    const before = upload.offset
    try {
      await using open = await source.open(context.signal)
      attempts.opened()
      upload = await identify(upload, open.facts)
      crashPoint('imports:declared')
      context.progress(upload.offset, upload.length, 'bytes')
      if (!upload.isPublished) upload = await appendRest(deps, open, upload, context)
    } catch (error) {
      context.signal.throwIfAborted()
      if (!(error instanceof SourceInterrupted)) throw error
      upload = (await uploads.find(order.id)) ?? upload
      await attempts.failed(error, upload.offset - before)
    }
  }
  return upload
}

/** Appends what the upload does not have yet. Throws SourceInterrupted when the source ended early, after what it brought is durable. */
async function appendRest({ clock, uploads }: TransferDeps, open: OpenSource, upload: InternalUpload, context: TaskContext): Promise<InternalUpload> {
  const { canResume, length } = open.facts
  const ended = new AbortController()
  const signal = AbortSignal.any([context.signal, ended.signal])
  const pieces = open.read(canResume ? upload.offset : 0, signal)
  const { stream, failure } = createSourceStream(pieces, () => ended.abort(), {
    clock,
    skip: canResume ? 0 : upload.offset,
    onBytes: (count) => context.progress(upload.offset + count, length, 'bytes'),
  })
  const { upload: after, isWhole } = await uploads.append(upload.id, upload.offset, stream)
  if (after.isPublished) return after
  if (failure() !== undefined) throw failure()
  if (!isWhole) throw new SourceInterrupted('it fell silent')
  if (length !== null) throw new SourceInterrupted(`it ended after ${after.offset} of ${length} bytes`)
  return uploads.finish(upload.id)
}

/**
 * Creates the check that an opened source is the one whose bytes the upload has. If it is another one, or does not tell, the upload begins again.
 * Throws `source-changed` when that happens too often.
 */
function createIdentification(uploads: InternalUploads, order: InternalUploadOrder) {
  let restarts = 0
  return async (upload: InternalUpload, { length, validator }: SourceFacts): Promise<InternalUpload> => {
    const hasBytes = upload.offset > 0
    const isSame = (upload.length ?? length) === length && (!hasBytes || (validator !== null && validator === upload.validator))
    if (isSame) return uploads.declare(upload.id, { length, validator })
    if (++restarts > RESTARTS_MAX) throw refuseRestart(restarts, validator)
    await uploads.cancel(upload.id)
    await uploads.create(order)
    return uploads.declare(upload.id, { length, validator })
  }
}

function refuseRestart(restarts: number, validator: string | null): Error {
  if (validator !== null) return problem('source-changed', `The source changed ${restarts} times while it was being imported.`)
  return problem('source-unreachable', `The source was interrupted ${restarts} times, and does not tell its version, so the import began again each time.`, {
    action: 'Use a server that sends a strong ETag or Last-Modified, or import from a closer place.',
  })
}

interface Attempts {
  /** Called when the source was opened. */
  opened(): void
  /** Called after an attempt that was cut; waits before the next one. Throws `source-unreachable` after too many. */
  failed(error: SourceInterrupted, bytes: number): Promise<void>
}

function createAttempts({ clock, log }: TransferDeps, signal: AbortSignal): Attempts {
  let count = 0
  let max = FIRST_ATTEMPTS_MAX
  return {
    opened() {
      max = ATTEMPTS_MAX
    },
    async failed(error, bytes) {
      count = bytes >= PROGRESS_BYTES_MIN ? 1 : count + 1
      log.info('an import was interrupted', { reason: error.message, attempt: count, error: error.cause })
      if (count >= max) throw problem('source-unreachable', `The source was not read after ${count} attempts: ${error.message}.`, {}, { cause: error })
      await clock.sleep(Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** (count - 1)), signal)
    },
  }
}
