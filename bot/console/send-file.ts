// Uploads a file of this machine: by slices to a store that says how it cuts images, else by plain tus. The address of the upload is
// stored under the fingerprint of the file, so that the same command resumes an interrupted upload.

import { DetailedError, Upload } from 'tus-js-client'
import type { HttpRequest, HttpResponse, PreviousUpload, UrlStorage } from 'tus-js-client'
import { errorText } from '../../protocol/errors.ts'
import { createAgentClient } from '../../protocol/client/client.ts'
import { isCutterValid } from '../../protocol/slices/cutter.ts'
import { ANSWER_TIMEOUT_MS, readAgentProblem } from '../../protocol/client/exchange.ts'
import { makeProblem, problem, ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { uploadIdOf } from '../../protocol/client/upload-client.ts'
import type { FileOrder, FileSender } from '../commands/command.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { openLocalFile } from '../system/local-files.ts'
import type { LocalFile } from '../system/local-files.ts'
import { RETRY_DELAYS_MS, sendDelta } from './delta-upload.ts'
import type { DeltaOrder } from './delta-upload.ts'

/** Creates the sender; unfinished uploads are recorded in the bot's database. */
export function createFileSender(database: BotDatabase, clock: Pick<Clock, 'nowMs' | 'sleep'>): Pick<FileSender, 'send'> {
  const urlStorage = createUrlStorage(database)
  return {
    async send(order) {
      const file = openLocalFile(order.path)
      const endpoint = `${order.url}/v1/uploads`
      const fingerprint = ['file', file.path, file.length, file.modifiedMs, endpoint, JSON.stringify(order.metadata)].join('|')
      const sending: Sending = { order, file, endpoint, fingerprint, urlStorage }
      const previous = await recall(sending)
      const resumedFrom = previous?.offset ?? 0
      if (order.cutter && isCutterValid(order.cutter)) {
        const delta = await sendSlices({ ...sending, clock, cutter: order.cutter }, previous)
        if (delta) return { ...delta, resumedFrom, length: file.length }
      }
      const imageId = await sendBytes(sending)
      return { imageId, resumedFrom, length: file.length, saving: undefined }
    },
  }
}

interface Sending {
  readonly order: FileOrder
  readonly file: LocalFile
  readonly endpoint: string
  /** The key under which the address of the upload is stored. */
  readonly fingerprint: string
  readonly urlStorage: UrlStorage
}

/** An upload of an earlier run, and its offset at the store. */
interface Previous {
  readonly upload: PreviousUpload
  readonly url: string
  readonly offset: number
}

/** The upload of an earlier run that can be resumed. Uploads that the store no longer has are forgotten. */
async function recall({ order, fingerprint, urlStorage }: Sending): Promise<Previous | undefined> {
  const found = await urlStorage.findUploadsByFingerprint(fingerprint)
  for (const upload of found.toSorted((a, b) => b.creationTime.localeCompare(a.creationTime))) {
    const url = upload.uploadUrl
    if (url === null) continue
    const offset = await offsetOf(url, order.token)
    if (offset !== undefined) return { upload, url, offset }
    await urlStorage.removeUpload(upload.urlStorageKey)
  }
  return undefined
}

/** Sends the slices that the store lacks. Returns undefined when the store wants plain bytes: the upload stays recorded and can be resumed so. */
async function sendSlices(sending: Sending & Pick<DeltaOrder, 'cutter'> & { readonly clock: Pick<Clock, 'nowMs' | 'sleep'> }, previous: Previous | undefined) {
  const { order, file, endpoint, fingerprint, urlStorage, clock, cutter } = sending
  const { signal } = order
  const client = createAgentClient({ baseUrl: order.url, token: order.token })
  let uploadId = previous && uploadIdOf(previous.url)
  let key = previous?.upload.urlStorageKey
  if (uploadId === undefined) {
    uploadId = await client.uploads.create({ length: file.length, metadata: order.metadata }, { signal })
    const upload = { size: file.length, metadata: { ...order.metadata }, creationTime: formatTime(clock.nowMs()), uploadUrl: `${endpoint}/${uploadId}` }
    key = await urlStorage.addUpload(fingerprint, { ...upload, parallelUploadUrls: null, urlStorageKey: '' })
  }
  const outcome = await sendDelta({
    client,
    clock,
    file,
    cutter,
    uploadId,
    offset: previous?.offset ?? 0,
    onProgress: (done) => order.onProgress(done, file.length),
    signal,
  })
  if (outcome.kind === 'unwanted') return undefined
  if (key !== undefined) await urlStorage.removeUpload(key)
  return { imageId: outcome.state.imageId, saving: outcome.saving }
}

/** Sends plain bytes by tus, resuming where an earlier run or the slices stopped. Returns the id of the image, if the agent returned it. */
async function sendBytes(sending: Sending): Promise<string | undefined> {
  const { order, file, endpoint, fingerprint, urlStorage } = sending
  let imageId: string | undefined
  const note = (_request: HttpRequest, response: HttpResponse): void => {
    const location = response.getHeader('Content-Location')
    imageId = /\/v1\/images\/(img_[0-9a-z]+)/.exec(location ?? '')?.[1] ?? imageId
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const upload = new Upload(file.open(), {
    endpoint,
    uploadSize: file.length,
    metadata: { ...order.metadata },
    headers: { Authorization: `Bearer ${order.token}` },
    retryDelays: [...RETRY_DELAYS_MS],
    storeFingerprintForResuming: true,
    removeFingerprintOnSuccess: true,
    urlStorage,
    fingerprint: () => Promise.resolve(fingerprint),
    onProgress: (sent) => order.onProgress(sent, file.length),
    onAfterResponse: note,
    onSuccess: () => resolve(),
    onError: reject,
  })
  const previous = await recall(sending)
  if (previous) upload.resumeFromPreviousUpload(previous.upload)
  const abort = (): void => {
    // The upload stays at the agent and in the database, so a later run resumes it.
    void upload.abort(false).catch(() => {})
    reject(order.signal?.reason)
  }
  order.signal?.addEventListener('abort', abort, { once: true })
  try {
    upload.start()
    await promise
  } catch (error) {
    throw order.signal?.aborted ? error : asProblem(error, order.url)
  } finally {
    order.signal?.removeEventListener('abort', abort)
  }
  return imageId
}

/** The offset of an earlier upload; undefined when the store no longer has it. */
async function offsetOf(uploadUrl: string, token: string): Promise<number | undefined> {
  try {
    const headers = { 'tus-resumable': '1.0.0', authorization: `Bearer ${token}` }
    const response = await fetch(uploadUrl, { method: 'HEAD', headers, redirect: 'manual', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
    if (response.status === 404 || response.status === 410) return undefined
    return Number(response.headers.get('upload-offset') ?? 0)
  } catch {
    // The store did not answer: the upload itself retries and reports the error.
    return 0
  }
}

function asProblem(error: unknown, url: string): ProblemError {
  const response = error instanceof DetailedError ? error.originalResponse : null
  if (!response) {
    const cause = error instanceof DetailedError ? (error.causingError ?? error) : error
    const action = 'Run the same command again: the upload resumes.'
    return problem('peer-unreachable', `The connection to ${url} was lost during the upload: ${errorText(cause)}.`, { action }, { cause: error })
  }
  const document = readAgentProblem(response.getBody())
  return new ProblemError(document ?? makeProblem('peer-refused', `${url} answered ${response.getStatus()} to the upload.`), {
    cause: error,
    isFromPeer: true,
  })
}

interface UploadRow {
  key: string
  fingerprint: string
  url: string
  length: number | null
  metadata: string
  created: string
}

/** The storage of tus-js-client for unfinished uploads, on the bot's database. */
function createUrlStorage(database: BotDatabase): UrlStorage {
  const all = database.query<UploadRow, []>('SELECT * FROM uploads')
  const some = database.query<UploadRow, { fingerprint: string }>('SELECT * FROM uploads WHERE fingerprint = $fingerprint')
  const remove = database.query<null, { key: string }>('DELETE FROM uploads WHERE key = $key')
  const add = database.query<null, { key: string; fingerprint: string; url: string; length: number | null; metadata: string; created: string }>(
    `INSERT OR REPLACE INTO uploads (key, fingerprint, url, length, metadata, created)
     VALUES ($key, $fingerprint, $url, $length, $metadata, $created)`,
  )
  return {
    findAllUploads: () => Promise.resolve(all.all().map(toPrevious)),
    findUploadsByFingerprint: (fingerprint) => Promise.resolve(some.all({ fingerprint }).map(toPrevious)),
    removeUpload: (key) => {
      remove.run({ key })
      return Promise.resolve()
    },
    addUpload: (fingerprint, upload) => {
      const key = crypto.randomUUID()
      const url = upload.uploadUrl ?? ''
      add.run({ key, fingerprint, url, length: upload.size, metadata: JSON.stringify(upload.metadata), created: upload.creationTime })
      return Promise.resolve(key)
    },
  }
}

function toPrevious(row: UploadRow): PreviousUpload {
  return {
    size: row.length,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    creationTime: row.created,
    urlStorageKey: row.key,
    uploadUrl: row.url,
    parallelUploadUrls: null,
  }
}
