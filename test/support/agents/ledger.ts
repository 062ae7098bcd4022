// Records everything that a store acknowledged to its clients: offsets, images and deletions. After a crash the store is compared with
// it. A request without a response promises nothing, and both of its outcomes are correct.

import type { AgentProcess } from './agent-process.ts'
import { until } from '../until.ts'

/** Statuses that an agent may return at any time under load: in use, offset has changed, wrong status, stopping. */
const REFUSALS: ReadonlySet<number> = new Set([404, 409, 423, 503])

export interface LedgerUpload {
  readonly path: string
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Highest acknowledged offset. */
  acknowledged: number
  /** A removal was requested, and its response may have been lost. */
  mayBeGone: boolean
}

export interface LedgerImage {
  readonly id: string
  readonly bytes: Uint8Array<ArrayBuffer>
  /** `kept` must be readable, `binned` must be in the recycle bin unless it was pruned, `unsure` may be in any valid state. */
  state: 'kept' | 'binned' | 'unsure'
}

export interface Told {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

/** The store broke a promise. */
export class PromiseBroken extends Error {
  override readonly name = 'PromiseBroken'
}

export class Ledger {
  readonly uploads = new Map<string, LedgerUpload>()
  readonly images = new Map<string, LedgerImage>()
  readonly #agent: AgentProcess
  /** Whether images in the recycle bin may be purged at any time. */
  readonly #prunes: boolean

  constructor(agent: AgentProcess, { prunes = false } = {}) {
    this.#agent = agent
    this.#prunes = prunes
  }

  /** Returns a ledger with the same promises for an agent on a copy of the store. */
  copyFor(agent: AgentProcess): Ledger {
    const copy = new Ledger(agent, { prunes: this.#prunes })
    for (const [path, upload] of this.uploads) copy.uploads.set(path, { ...upload })
    for (const [id, image] of this.images) copy.images.set(id, { ...image })
    return copy
  }

  /** Creates an upload; returns undefined when there was no response or a refusal. */
  async create(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<LedgerUpload | undefined> {
    const metadata = `name ${Buffer.from(name).toString('base64')}`
    const told = await this.#ask('POST', '/v1/uploads', { 'Upload-Length': String(bytes.byteLength), 'Upload-Metadata': metadata })
    const path = told?.headers.get('location')
    if (told?.status !== 201 || typeof path !== 'string') return undefined
    const upload: LedgerUpload = { path, bytes, acknowledged: 0, mayBeGone: false }
    this.uploads.set(path, upload)
    return upload
  }

  /** Requests the offset and compares it with the acknowledged one. */
  async head(upload: LedgerUpload): Promise<number | undefined> {
    const told = await this.#ask('HEAD', upload.path)
    if (told?.status === 404 || told?.status === 410) {
      if (!upload.mayBeGone) throw new PromiseBroken(`upload ${upload.path} with ${upload.acknowledged} bytes is gone`)
      this.uploads.delete(upload.path)
    }
    return told?.status === 200 ? this.#hear(upload, told) : undefined
  }

  /** Sends bytes from an offset. Returns the image when the upload is complete. */
  async send(upload: LedgerUpload, offset: number, length = upload.bytes.byteLength): Promise<LedgerImage | undefined> {
    const headers = { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(offset) }
    const told = await this.#ask('PATCH', upload.path, headers, upload.bytes.subarray(offset, offset + length))
    if (told?.status !== 204) return undefined
    this.#hear(upload, told)
    return this.#imageOf(upload, told)
  }

  /** Sends the rest of an upload. */
  async finish(upload: LedgerUpload): Promise<LedgerImage | undefined> {
    const offset = await this.head(upload)
    if (offset === undefined) return undefined
    return this.send(upload, offset)
  }

  async terminate(upload: LedgerUpload): Promise<void> {
    upload.mayBeGone = true
    const told = await this.#ask('DELETE', upload.path)
    if (told?.status === 204) this.uploads.delete(upload.path)
  }

  async delete(image: LedgerImage, { permanent = false } = {}): Promise<void> {
    const before = image.state
    image.state = 'unsure'
    const told = await this.#ask('DELETE', `/v1/images/${image.id}?permanent=${permanent}`)
    if (told?.status === 200) image.state = this.#prunes ? 'unsure' : 'binned'
    else if (told?.status === 204) this.images.delete(image.id)
    else if (told?.status === 409 && this.images.has(image.id)) image.state = before
  }

  async restore(image: LedgerImage): Promise<void> {
    image.state = 'unsure'
    const told = await this.#ask('POST', `/v1/images/${image.id}/restore`)
    if (told?.status === 200) image.state = 'kept'
  }

  /** Reads a range; every received byte must be that of the image. */
  async read(image: LedgerImage, start: number, end: number): Promise<void> {
    const wanted = image.state
    const told = await this.#ask('GET', `/v1/images/${image.id}/content`, { Range: `bytes=${start}-${end - 1}` })
    if (told === undefined) return
    if (told.status === 206 && Buffer.compare(told.body, image.bytes.subarray(start, end)) !== 0)
      throw new PromiseBroken(`image ${image.id} has other bytes in ${start}–${end}`)
    if (told.status !== 206 && wanted === 'kept' && image.state === 'kept' && told.status !== 409 && told.status !== 503)
      throw new PromiseBroken(`image ${image.id} cannot be read: ${told.status} ${new TextDecoder().decode(told.body)}`)
  }

  /** Adds an image that was not uploaded through this ledger, such as a synced one. */
  add(id: string, bytes: Uint8Array<ArrayBuffer>): LedgerImage {
    const image: LedgerImage = { id, bytes, state: 'kept' }
    this.images.set(id, image)
    return image
  }

  /** Compares the store with every upload and with these images, by default all. Call it while no request is in progress. */
  async verify(images: Iterable<LedgerImage> = this.images.values()): Promise<void> {
    for (const upload of [...this.uploads.values()]) {
      const offset = await this.head(upload)
      if (offset === undefined && this.uploads.has(upload.path)) throw new PromiseBroken(`upload ${upload.path} does not return its offset`)
    }
    for (const image of [...images]) await this.#verifyImage(image)
  }

  async #verifyImage(image: LedgerImage): Promise<void> {
    const { id } = image
    const status = await until(`image ${id} has settled`, async () => {
      const told = await this.#ask('GET', `/v1/images/${id}`)
      if (told?.status === 404) return 'gone'
      const found = told?.status === 200 ? (JSON.parse(new TextDecoder().decode(told.body)) as { status: string; statusReason: string }) : undefined
      if (found?.status === 'error' || found?.status === 'degraded') throw new PromiseBroken(`image ${id} is ${found.status}: ${found.statusReason}`)
      return found?.status === 'creating' || found?.status === 'deleting' ? undefined : found?.status
    })
    if (status === 'available') {
      const told = await this.#ask('GET', `/v1/images/${id}/content`)
      if (told?.status !== 200 || Buffer.compare(told.body, image.bytes) !== 0) throw new PromiseBroken(`image ${id} has other bytes than were acknowledged`)
      if (image.state === 'binned') throw new PromiseBroken(`image ${id} was deleted and is available`)
      image.state = 'kept'
      return
    }
    if (image.state === 'kept') throw new PromiseBroken(`image ${id} is ${status}`)
    if (image.state === 'binned' && status !== 'deleted') throw new PromiseBroken(`image ${id} was in the recycle bin and is ${status}`)
    if (status === 'gone') this.images.delete(id)
  }

  #hear(upload: LedgerUpload, told: Told): number {
    const offset = Number(told.headers.get('upload-offset') ?? Number.NaN)
    if (!(offset >= upload.acknowledged && offset <= upload.bytes.byteLength))
      throw new PromiseBroken(`upload ${upload.path} is at ${offset}, but ${upload.acknowledged} bytes were acknowledged`)
    upload.acknowledged = offset
    this.#imageOf(upload, told)
    return offset
  }

  /** Records the image of a finished upload, which is promised from then on. */
  #imageOf(upload: LedgerUpload, told: Told): LedgerImage | undefined {
    const id = told.headers.get('content-location')?.split('/').at(-1)
    if (id === undefined || !this.uploads.has(upload.path)) return id === undefined ? undefined : this.images.get(id)
    this.uploads.delete(upload.path)
    return this.images.get(id) ?? this.add(id, upload.bytes)
  }

  /** Sends a request; returns undefined when there was no complete response. Throws PromiseBroken for a response that no client should get. */
  async #ask(method: string, path: string, headers: Record<string, string> = {}, body?: Uint8Array<ArrayBuffer>): Promise<Told | undefined> {
    let told: Told
    try {
      const response = await fetch(`${this.#agent.url}${path}`, {
        method,
        headers: this.#agent.headers({ 'Tus-Resumable': '1.0.0', ...headers }),
        ...(body ? { body } : {}),
      })
      told = { status: response.status, headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) }
    } catch {
      // The agent was killed, so the outcome of the request is unknown.
      return undefined
    }
    if (told.status >= 400 && !REFUSALS.has(told.status))
      throw new PromiseBroken(`${method} ${path} was answered with ${told.status}: ${new TextDecoder().decode(told.body)}`)
    return told
  }
}
