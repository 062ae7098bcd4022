// A client of an agent that records its requests and their acknowledgements in a history.

import type { AgentProcess } from '../support/agents/agent-process.ts'
import { PromiseBroken } from '../support/agents/ledger.ts'
import type { History, ImageFacts, PendingChange, TaskFacts, TokenFacts, UploadFacts } from './history.ts'

/** Statuses that an agent may return under load: disabled, not found, wrong state, in use, too many requests, stopping, full. */
const REFUSALS: ReadonlySet<number> = new Set([403, 404, 409, 410, 423, 429, 503, 507])

const OFFSET_TYPE = 'application/offset+octet-stream'

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** Every function resolves once the response was received and recorded. A refusal changes nothing. */
export interface RecordedClient {
  create(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** Creates an upload with all its bytes and their checksum; `isPart` makes it a part of a later concatenation. */
  createWhole(name: string, bytes: Uint8Array<ArrayBuffer>, isPart?: boolean): Promise<UploadFacts>
  /** Sends from the acknowledged offset; `cutMs` breaks the connection after that time. */
  send(upload: UploadFacts, length: number, cutMs?: number): Promise<void>
  head(upload: UploadFacts): Promise<void>
  terminate(upload: UploadFacts): Promise<void>
  concatenate(name: string, parts: readonly UploadFacts[]): Promise<void>
  delete(image: ImageFacts, permanent: boolean): Promise<void>
  restore(image: ImageFacts): Promise<void>
  describe(image: ImageFacts, text: string): Promise<void>
  createToken(name: string): Promise<void>
  revokeToken(token: TokenFacts): Promise<void>
  setEnabled(enabled: boolean): Promise<void>
  describeStore(text: string): Promise<void>
  startCleanup(): Promise<void>
  startScrub(): Promise<void>
  /** Copies an image of another store. It counts as acknowledged when `checkEnded` sees the end of the task. */
  sync(source: { readonly url: string; readonly token: string }, id: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** Checks whether a task has ended. Throws PromiseBroken when it failed. */
  checkEnded(task: TaskFacts): Promise<void>
}

export function createRecordedClient(agent: AgentProcess, history: History): RecordedClient {
  const { position } = history
  /** The change that is acknowledged when a task has succeeded. */
  const promisedBy = new Map<TaskFacts, PendingChange>()

  const ask = async (
    method: string,
    path: string,
    { headers = {}, body, signal }: { headers?: Record<string, string>; body?: Uint8Array<ArrayBuffer> | string; signal?: AbortSignal } = {},
  ): Promise<Answer> => {
    const response = await fetch(`${agent.url}${path}`, {
      method,
      headers: agent.headers({ 'Tus-Resumable': '1.0.0', ...headers }),
      ...(body === undefined ? {} : { body }),
      ...(signal ? { signal } : {}),
    })
    const answer = { status: response.status, headers: response.headers, body: await response.text() }
    if (answer.status >= 400 && !REFUSALS.has(answer.status)) throw new PromiseBroken(`${method} ${path} was answered with ${answer.status}: ${answer.body}`)
    return answer
  }
  const askJson = (method: string, path: string, json: unknown): Promise<Answer> =>
    ask(method, path, { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(json) })
  const settle = (changes: readonly (PendingChange | undefined)[], isDone: boolean): void => {
    for (const change of changes) change?.[isDone ? 'confirm' : 'refuse']()
  }
  /** Records the offset of a response, and the image of a finished upload. Returns whether the upload is finished. */
  const recordAnswer = (upload: UploadFacts, answer: Answer): boolean => {
    const offset = Number(answer.headers.get('upload-offset') ?? Number.NaN)
    const least = upload.offsets.at(-1)?.offset ?? 0
    if (!(offset >= least)) throw new PromiseBroken(`upload ${upload.name} is at ${offset}, but ${least} bytes were acknowledged`)
    upload.offsets.push({ position: position(), offset })
    const id = answer.headers.get('content-location')?.split('/').at(-1)
    if (upload.image) upload.image.id = id
    return upload.image ? id !== undefined : offset === upload.bytes.byteLength
  }
  const post = async (upload: UploadFacts, headers: Record<string, string>, body?: Uint8Array<ArrayBuffer>): Promise<void> => {
    const isWhole = body !== undefined || headers['Upload-Concat']?.startsWith('final') === true
    const opened = upload.state.ask('open')
    const finished = isWhole ? [upload.state.ask('finished'), upload.image?.state.ask('kept')] : []
    upload.sent.push({ position: position(), end: isWhole ? upload.bytes.byteLength : 0 })
    const metadata = { 'Upload-Metadata': `name ${Buffer.from(upload.name).toString('base64')}` }
    const answer = await ask('POST', '/v1/uploads', { headers: { ...metadata, ...headers }, ...(body ? { body } : {}) })
    if (answer.status !== 201) return settle([opened, ...finished], false)
    upload.path = answer.headers.get('location') ?? undefined
    opened.confirm()
    if (!isWhole) return
    settle(finished, answer.headers.has('upload-offset') ? recordAnswer(upload, answer) : (await headOf(upload)) === 'finished')
  }
  const headOf = async (upload: UploadFacts): Promise<'open' | 'finished' | 'unknown'> => {
    const answer = await ask('HEAD', upload.path ?? '')
    if (answer.status !== 200) return 'unknown'
    return recordAnswer(upload, answer) ? 'finished' : 'open'
  }
  const startTask = async (kind: string, path: string, json: unknown, promised?: PendingChange): Promise<void> => {
    const asked = position()
    const answer = await askJson('POST', path, json)
    if (answer.status !== 202) return promised?.refuse()
    const { id } = JSON.parse(answer.body) as { id: string }
    const known = history.tasks.find((task) => task.id === id)
    const task = known ?? history.addTask(id, kind)
    if (!known) task.state.ask('known', asked).confirm()
    if (promised) promisedBy.set(task, promised)
  }
  const change = async (pending: PendingChange, asked: Promise<Answer>): Promise<void> => settle([pending], (await asked).status < 300)

  return {
    async create(name, bytes) {
      await post(history.addUpload(name, bytes), { 'Upload-Length': String(bytes.byteLength) })
    },
    async createWhole(name, bytes, isPart = false) {
      const upload = history.addUpload(name, bytes, { isPart })
      const checksum = `sha256 ${new Bun.CryptoHasher('sha256').update(bytes).digest('base64')}`
      const headers = { 'Upload-Length': String(bytes.byteLength), 'Upload-Checksum': checksum, 'Content-Type': OFFSET_TYPE }
      await post(upload, isPart ? { ...headers, 'Upload-Concat': 'partial' } : headers, bytes)
      return upload
    },
    async send(upload, length, cutMs) {
      const offset = upload.offsets.at(-1)?.offset ?? 0
      const body = upload.bytes.subarray(offset, offset + length)
      const isLast = offset + length >= upload.bytes.byteLength
      const finished = isLast ? [upload.state.ask('finished'), upload.image?.state.ask('kept')] : []
      upload.sent.push({ position: position(), end: offset + body.byteLength })
      const headers = { 'Content-Type': OFFSET_TYPE, 'Upload-Offset': String(offset) }
      try {
        const answer = await ask('PATCH', upload.path ?? '', { headers, body, ...(cutMs === undefined ? {} : { signal: AbortSignal.timeout(cutMs) }) })
        if (answer.status === 204) return settle(finished, recordAnswer(upload, answer))
      } catch (error) {
        if (cutMs === undefined || error instanceof PromiseBroken) throw error
      }
      // Cut or refused: HEAD returns how many bytes were appended.
      settle(finished, (await headOf(upload)) === 'finished')
    },
    async head(upload) {
      await headOf(upload)
    },
    terminate: (upload) => change(upload.state.ask('terminated'), ask('DELETE', upload.path ?? '')),
    async concatenate(name, parts) {
      const upload = history.addUpload(name, new Uint8Array(Buffer.concat(parts.map(({ bytes }) => bytes))))
      await post(upload, { 'Upload-Concat': `final;${parts.map(({ path }) => path).join(' ')}` })
    },
    delete: (image, permanent) => change(image.state.ask(permanent ? 'gone' : 'binned'), ask('DELETE', `/v1/images/${image.id}?permanent=${permanent}`)),
    restore: (image) => change(image.state.ask('kept'), ask('POST', `/v1/images/${image.id}/restore`)),
    describe: (image, text) => change(image.description.ask(text), askJson('PATCH', `/v1/images/${image.id}`, { description: text })),
    async createToken(name) {
      const token = history.addToken()
      const valid = token.state.ask('valid')
      const answer = await askJson('POST', '/v1/tokens', { name, role: 'viewer' })
      if (answer.status !== 201) return valid.refuse()
      const { id, token: secret } = JSON.parse(answer.body) as { id: string; token: string }
      Object.assign(token, { id, secret })
      valid.confirm()
    },
    revokeToken: (token) => change(token.state.ask('revoked'), ask('DELETE', `/v1/tokens/${token.id}`)),
    setEnabled: (enabled) =>
      change(history.enabled.ask(enabled), askJson('POST', `/v1/store/${enabled ? 'enable' : 'disable'}`, enabled ? {} : { reason: 'maintenance' })),
    describeStore: (text) => change(history.description.ask(text), askJson('PATCH', '/v1/store', { description: text })),
    startCleanup: () => startTask('cleanup', '/v1/store/cleanup', { dryRun: false }),
    startScrub: () => startTask('scrub', '/v1/schedules/scrub/run', {}),
    async sync(source, id, name, bytes) {
      const image = history.addImage(name, bytes)
      image.id = id
      await startTask('sync', '/v1/sync', { source, images: [id] }, image.state.ask('kept'))
    },
    async checkEnded(task) {
      const answer = await ask('GET', `/v1/tasks/${task.id}`)
      const { state, error } = JSON.parse(answer.body) as { state: string; error?: { detail: string } }
      if (state === 'queued' || state === 'running') return
      if (state !== 'succeeded') throw new PromiseBroken(`the task ${task.kind} ${state}: ${error?.detail}`)
      // The task may have ended at any time since it was accepted.
      task.state.ask('ended', task.state.acknowledged[0]).confirm()
      promisedBy.get(task)?.confirm()
    },
  }
}
