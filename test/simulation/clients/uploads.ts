// What clients do with uploads, and what they hold the agents to.

import { SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import { EXPIRY_MS, Violation } from '../model.ts'
import type { ModelUpload } from '../model.ts'
import type { SendAs } from '../steps.ts'
import { TUS } from './asking.ts'
import type { Asking } from './asking.ts'
import { bodyOf, framesOf, metadataOf } from './bodies.ts'

export class UploadClients {
  readonly #asking: Asking

  constructor(asking: Asking) {
    this.#asking = asking
  }

  /** Creates an upload. A slot that is in use is given away. */
  async create(slot: number, agent: number, content: Buffer, isPart: boolean): Promise<void> {
    const upload = this.#newUpload(slot, agent, content, isPart)
    const headers = { 'upload-length': String(content.length), ...(isPart ? { 'upload-concat': 'partial' } : metadataOf(upload.name)) }
    const response = await this.#asking.request(agent, 'POST', '/v1/uploads', headers).catch(() => undefined)
    this.#created(upload, response)
  }

  /** Makes an upload of others. */
  async concatenate(slot: number, agent: number, parts: readonly number[]): Promise<void> {
    const list = parts
      .map((part) => this.#asking.expected.uploads.get(part))
      .filter((part) => part?.isPart && part.agent === agent && part.id !== undefined) as ModelUpload[]
    if (list.length === 0) return
    const upload = this.#newUpload(slot, agent, Buffer.concat(list.map(({ content }) => content)), false)
    upload.mayBeDamaged ||= list.some(({ mayBeDamaged }) => mayBeDamaged)
    upload.sent = upload.content.length
    const concat = `final;${list.map(({ id }) => `/v1/uploads/${id}`).join(' ')}`
    const response = await this.#asking.request(agent, 'POST', '/v1/uploads', { 'upload-concat': concat, ...metadataOf(upload.name) }).catch(() => undefined)
    this.#created(upload, response)
    if (response?.status === 201) this.#acknowledged(upload, response)
  }

  #newUpload(slot: number, agent: number, content: Buffer, isPart: boolean): ModelUpload {
    const { uploads, formerUploads } = this.#asking.expected
    const former = uploads.get(slot)
    if (former) formerUploads.push(former)
    const upload: ModelUpload = {
      agent,
      slot,
      name: `image-${slot}-${formerUploads.length}`,
      content,
      acked: 0,
      sent: 0,
      id: undefined,
      imageId: undefined,
      mayBeGone: false,
      mayBeDamaged: this.#asking.rotten.has(agent),
      touchedMs: this.#asking.nowMs,
      isPart,
    }
    uploads.set(slot, upload)
    return upload
  }

  #created(upload: ModelUpload, response: Response | undefined): void {
    if (response?.status === 201) {
      upload.id = /\/v1\/uploads\/(upl_[0-9a-z]+)/.exec(response.headers.get('location') ?? '')?.[1]
      upload.touchedMs = this.#asking.nowMs
      if (upload.id === undefined) throw new Violation(`the answer to the creation of ${upload.name} has no address`)
    } else {
      // Nobody knows its address: it can only become an image if its creation brought its bytes.
      upload.mayBeGone = true
    }
  }

  /** Sends some of the bytes that are missing; the connection may break after a number of them. */
  async send(slot: number, count: number, cutAt: number | null, as: SendAs): Promise<void> {
    const upload = this.#asking.expected.uploads.get(slot)
    if (upload?.id === undefined || upload.imageId !== undefined || upload.content.length === 0) return
    const offset = upload.acked
    const bytes = upload.content.subarray(offset, Math.min(upload.content.length, offset + count))
    if (bytes.length === 0) return
    const isFramed = as === 'slices' || as === 'lies'
    upload.sent = Math.max(upload.sent, isFramed ? upload.content.length : offset + bytes.length)
    const framed = isFramed ? framesOf(upload.content.subarray(offset), as === 'lies') : bytes
    const headers: Record<string, string> = {
      'upload-offset': String(offset),
      'content-type': isFramed ? SLICES_MEDIA_TYPE : 'application/offset+octet-stream',
    }
    if (as === 'checksum') headers['upload-checksum'] = `sha256 ${new Bun.CryptoHasher('sha256').update(bytes).digest('base64')}`
    if (!isFramed) headers['content-length'] = String(bytes.length)
    const response = await this.#asking.request(upload.agent, 'PATCH', `/v1/uploads/${upload.id}`, headers, bodyOf(framed, cutAt)).catch(() => undefined)
    if (response) this.#acknowledged(upload, response)
  }

  /** Asks where an upload is. */
  async head(slot: number): Promise<void> {
    const upload = this.#asking.expected.uploads.get(slot)
    if (upload) await this.headOf(upload)
  }

  async headOf(upload: ModelUpload): Promise<boolean> {
    if (upload.id === undefined) return true
    const acked = upload.acked
    const response = await this.#asking.request(upload.agent, 'HEAD', `/v1/uploads/${upload.id}`, {}).catch(() => undefined)
    if (!response) return false
    if (response.status === 404 || response.status === 410) this.#absent(upload, response.status)
    if (response.status !== 200) return response.status < 500
    const offset = Number(response.headers.get('upload-offset'))
    if (offset < acked) throw new Violation(`upload ${upload.name} is at ${offset}, but ${acked} bytes were acknowledged`)
    this.#acknowledged(upload, response)
    return true
  }

  /** Asks for an upload as a browser does, which must not disturb who sends it. */
  async peek(slot: number): Promise<void> {
    const upload = this.#asking.expected.uploads.get(slot)
    if (upload?.id === undefined) return
    const response = await this.#asking.network
      .fetch(`${this.#asking.url(upload.agent)}/v1/uploads/${upload.id}`, { headers: { authorization: TUS.authorization } })
      .catch(() => undefined)
    if (response?.status === 404 || response?.status === 410) this.#absent(upload, response.status)
  }

  #absent(upload: ModelUpload, status: number): void {
    const isExpired = this.#asking.nowMs - upload.touchedMs >= EXPIRY_MS
    // The record of a finished upload may go once its image has gone.
    if (upload.mayBeGone || isExpired || upload.imageId !== undefined) return
    throw new Violation(`upload ${upload.name} is answered with ${status}, but must exist`)
  }

  /** An answer that may carry an offset, and the image that the upload became. */
  #acknowledged(upload: ModelUpload, response: Response): void {
    if (response.status === 404 || response.status === 410) {
      this.#absent(upload, response.status)
      return
    }
    const text = response.headers.get('upload-offset')
    if (text !== null && /^\d+$/.test(text)) {
      const offset = Number(text)
      if (offset > upload.sent) throw new Violation(`upload ${upload.name} acknowledges ${offset} bytes, but only ${upload.sent} were sent`)
      upload.acked = Math.max(upload.acked, offset)
      upload.touchedMs = this.#asking.nowMs
    }
    const imageId = /\/v1\/images\/(img_[0-9a-z]+)/.exec(response.headers.get('content-location') ?? '')?.[1]
    if (imageId === undefined) return
    if (upload.imageId !== undefined && upload.imageId !== imageId) throw new Violation(`upload ${upload.name} became ${upload.imageId} and ${imageId}`)
    if (upload.acked < upload.content.length)
      throw new Violation(`upload ${upload.name} became an image with ${upload.acked} of ${upload.content.length} bytes`)
    if (upload.imageId === undefined) this.#asking.becameImage(upload, imageId)
  }

  /** Deletes an upload that is not finished. */
  async cancel(slot: number): Promise<void> {
    const upload = this.#asking.expected.uploads.get(slot)
    if (upload?.id === undefined || upload.imageId !== undefined) return
    upload.mayBeGone = true
    await this.#asking.request(upload.agent, 'DELETE', `/v1/uploads/${upload.id}`, {}).catch(() => undefined)
  }
}
