// What clients do in a simulation, and what they hold the agents to. Every function is one request, run as a process of the world.

import { createCutter } from '../../protocol/slices/cutter.ts'
import { createAgentClient } from '../../protocol/client/client.ts'
import type { AgentClient } from '../../protocol/client/client.ts'
import { encodeEndFrame, encodeFrameHeader, encodeReferenceFrame, SLICES_MEDIA_TYPE } from '../../protocol/slices/frames.ts'
import type { Image } from '../../protocol/images/image.ts'
import { ProblemError } from '../../protocol/problems.ts'
import { BLOCK_PRIMITIVES } from '../../agent/slices/write/block-primitives.ts'
import { CUTTER_DEFAULT } from '../../agent/slices/packs/parameters.ts'
import { EXPIRY_MS, ModelImage, Violation } from './model.ts'
import type { ChangeEnd, ImageState, ModelTask, ModelToken, ModelUpload } from './model.ts'
import type { SendAs } from './steps.ts'
import type { Network } from './world/network.ts'
import { ADMIN_TOKEN } from './world/simulated-agent.ts'
import type { SimulatedAgent } from './world/simulated-agent.ts'
import { world } from './world/world.ts'

const TUS = { 'tus-resumable': '1.0.0', authorization: `Bearer ${ADMIN_TOKEN}` }
/** Pieces of a body as a client sends them, in bytes. */
const PIECE_BYTES = 8 * 1024

/** Everything that the model holds. */
export interface Expectations {
  readonly uploads: Map<number, ModelUpload>
  /** Uploads whose slot was given away: their images are still held to the model. */
  readonly formerUploads: ModelUpload[]
  readonly images: ModelImage[]
  readonly tasks: ModelTask[]
  readonly tokens: ModelToken[]
}

/** What the agent says of an image of which only the manifest is there. */
const MISSING_METADATA = 'Its image.json is missing'

/** Problems after which a request may have had its effect: there was no answer, or the disk failed in the middle. */
const UNKNOWN = new Set(['peer-unreachable', 'internal', 'insufficient-storage', 'store-unavailable', 'shutting-down'])

export class Clients {
  readonly #agents: readonly SimulatedAgent[]
  readonly #network: Network
  readonly expected: Expectations = { uploads: new Map(), formerUploads: [], images: [], tasks: [], tokens: [] }
  /** Agents whose disk has damaged slices that no scrub has found yet, and those that ever had some. */
  readonly rotten = new Set<number>()
  readonly wasRotten = new Set<number>()

  constructor(agents: readonly SimulatedAgent[], network: Network) {
    this.#agents = agents
    this.#network = network
  }

  get #nowMs(): number {
    return world().scheduler.nowMs
  }

  client(agent: number): AgentClient {
    return createAgentClient({ baseUrl: this.url(agent), token: ADMIN_TOKEN, fetch: this.#network.fetch })
  }

  url(agent: number): string {
    return `http://${this.#agents[agent]?.host}`
  }

  /** An image by its number, counted from the newest; those that may be in the recycle bin come first where one is wanted. */
  image(number: number, isFromBin: boolean): ModelImage | undefined {
    const binned = isFromBin ? this.expected.images.filter(({ states }) => states.has('binned')) : []
    const images = binned.length > 0 ? binned : this.expected.images
    return images.length === 0 ? undefined : images[images.length - 1 - (number % images.length)]
  }

  #request(agent: number, method: string, path: string, headers: Record<string, string>, body?: ReadableStream<Uint8Array>): Promise<Response> {
    return this.#network.fetch(`${this.url(agent)}${path}`, { method, headers: { ...TUS, ...headers }, ...(body ? { body } : {}) })
  }

  /** Creates an upload. A slot that is in use is given away. */
  async create(slot: number, agent: number, content: Buffer, isPart: boolean): Promise<void> {
    const upload = this.#newUpload(slot, agent, content, isPart)
    const headers = { 'upload-length': String(content.length), ...(isPart ? { 'upload-concat': 'partial' } : metadataOf(upload.name)) }
    const response = await this.#request(agent, 'POST', '/v1/uploads', headers).catch(() => undefined)
    this.#created(upload, response)
  }

  /** Makes an upload of others. */
  async concatenate(slot: number, agent: number, parts: readonly number[]): Promise<void> {
    const list = parts
      .map((part) => this.expected.uploads.get(part))
      .filter((part) => part?.isPart && part.agent === agent && part.id !== undefined) as ModelUpload[]
    if (list.length === 0) return
    const upload = this.#newUpload(slot, agent, Buffer.concat(list.map(({ content }) => content)), false)
    upload.mayBeDamaged ||= list.some(({ mayBeDamaged }) => mayBeDamaged)
    upload.sent = upload.content.length
    const concat = `final;${list.map(({ id }) => `/v1/uploads/${id}`).join(' ')}`
    const response = await this.#request(agent, 'POST', '/v1/uploads', { 'upload-concat': concat, ...metadataOf(upload.name) }).catch(() => undefined)
    this.#created(upload, response)
    if (response?.status === 201) this.#acknowledged(upload, response)
  }

  #newUpload(slot: number, agent: number, content: Buffer, isPart: boolean): ModelUpload {
    const { uploads, formerUploads } = this.expected
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
      mayBeDamaged: this.rotten.has(agent),
      touchedMs: this.#nowMs,
      isPart,
    }
    uploads.set(slot, upload)
    return upload
  }

  #created(upload: ModelUpload, response: Response | undefined): void {
    if (response?.status === 201) {
      upload.id = /\/v1\/uploads\/(upl_[0-9a-z]+)/.exec(response.headers.get('location') ?? '')?.[1]
      upload.touchedMs = this.#nowMs
      if (upload.id === undefined) throw new Violation(`the answer to the creation of ${upload.name} has no address`)
    } else {
      // Nobody knows its address: it can only become an image if its creation brought its bytes.
      upload.mayBeGone = true
    }
  }

  /** Sends some of the bytes that are missing; the connection may break after a number of them. */
  async send(slot: number, count: number, cutAt: number | null, as: SendAs): Promise<void> {
    const upload = this.expected.uploads.get(slot)
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
    const response = await this.#request(upload.agent, 'PATCH', `/v1/uploads/${upload.id}`, headers, bodyOf(framed, cutAt)).catch(() => undefined)
    if (response) this.#acknowledged(upload, response)
  }

  /** Asks where an upload is. */
  async head(slot: number): Promise<void> {
    const upload = this.expected.uploads.get(slot)
    if (upload) await this.headOf(upload)
  }

  async headOf(upload: ModelUpload): Promise<boolean> {
    if (upload.id === undefined) return true
    const acked = upload.acked
    const response = await this.#request(upload.agent, 'HEAD', `/v1/uploads/${upload.id}`, {}).catch(() => undefined)
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
    const upload = this.expected.uploads.get(slot)
    if (upload?.id === undefined) return
    const response = await this.#network
      .fetch(`${this.url(upload.agent)}/v1/uploads/${upload.id}`, { headers: { authorization: TUS.authorization } })
      .catch(() => undefined)
    if (response?.status === 404 || response?.status === 410) this.#absent(upload, response.status)
  }

  #absent(upload: ModelUpload, status: number): void {
    const isExpired = this.#nowMs - upload.touchedMs >= EXPIRY_MS
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
      upload.touchedMs = this.#nowMs
    }
    const imageId = /\/v1\/images\/(img_[0-9a-z]+)/.exec(response.headers.get('content-location') ?? '')?.[1]
    if (imageId === undefined) return
    if (upload.imageId !== undefined && upload.imageId !== imageId) throw new Violation(`upload ${upload.name} became ${upload.imageId} and ${imageId}`)
    if (upload.acked < upload.content.length)
      throw new Violation(`upload ${upload.name} became an image with ${upload.acked} of ${upload.content.length} bytes`)
    if (upload.imageId === undefined) this.#becameImage(upload, imageId)
  }

  #becameImage(upload: ModelUpload, imageId: string): ModelImage {
    upload.imageId = imageId
    const known = this.expected.images.find((image) => image.id === imageId && image.agent === upload.agent)
    if (known) return known
    const image = new ModelImage(upload.agent, { id: imageId, name: upload.name, bytes: upload.content, states: ['live'] })
    image.mayBeDamaged = upload.mayBeDamaged
    this.expected.images.push(image)
    return image
  }

  /** Deletes an upload that is not finished. */
  async cancel(slot: number): Promise<void> {
    const upload = this.expected.uploads.get(slot)
    if (upload?.id === undefined || upload.imageId !== undefined) return
    upload.mayBeGone = true
    await this.#request(upload.agent, 'DELETE', `/v1/uploads/${upload.id}`, {}).catch(() => undefined)
  }

  /** Looks at an image; false when there was no answer. */
  async look(image: ModelImage): Promise<boolean> {
    const seen = image.look(this.#nowMs)
    const found = await this.#ask(() => this.client(image.agent).images.get(image.id))
    if (found.kind === 'unknown') return false
    const state = found.kind === 'refused' ? 'gone' : this.#stateOf(found.value, image)
    if (state !== undefined) seen(state, this.#nowMs)
    return true
  }

  /** Reads a range of an image; returns the kind of the outcome. */
  async read(image: ModelImage, from = 0, to = image.bytes.length): Promise<'same' | 'refused' | 'unknown'> {
    const start = Math.min(from, Math.max(0, image.bytes.length - 1))
    const end = Math.max(start + 1, Math.min(to, image.bytes.length))
    if (image.bytes.length === 0) return 'same'
    let read: Buffer
    try {
      const answer = await this.client(image.agent).images.content(image.id, { range: `bytes=${start}-${end - 1}` })
      read = Buffer.from(await answer.bytes(image.bytes.length))
    } catch (error) {
      const { code } = problemOf(error)
      if (code === 'data-corrupt' && !image.mayBeDamaged) throw new Violation(`image ${image.name} (${image.id}) cannot be read: ${String(error)}`)
      return UNKNOWN.has(code) ? 'unknown' : 'refused'
    }
    if (!read.equals(image.bytes.subarray(start, end)))
      throw new Violation(`image ${image.name} (${image.id}) was read with other bytes from ${start} to ${end}`)
    return 'same'
  }

  async delete(image: ModelImage, permanent: boolean): Promise<void> {
    const { owner } = this.#agents[image.agent] ?? {}
    const change = image.begin((state) => (state === 'gone' || permanent ? ['gone'] : ['binned']), owner, this.#nowMs)
    const answer = await this.#ask(() => this.client(image.agent).images.delete(image.id, { permanent }))
    if (answer.kind === 'done') change.done(permanent ? 'gone' : 'binned')
    else if (answer.kind === 'refused' && answer.code === 'not-found') change.done('gone')
    else this.#end(change, answer.kind)
  }

  async restore(image: ModelImage): Promise<void> {
    const { owner } = this.#agents[image.agent] ?? {}
    const change = image.begin((state) => (state === 'gone' ? [] : ['live']), owner, this.#nowMs)
    const answer = await this.#ask(() => this.client(image.agent).images.restore(image.id))
    if (answer.kind === 'done') change.done('live')
    else this.#end(change, answer.kind)
  }

  #end(change: ChangeEnd, kind: 'done' | 'refused' | 'unknown'): void {
    if (kind === 'refused') change.refused()
    else change.unknown()
  }

  /** Removes every image of an agent for good; false when there was no answer. */
  async purgeAll(agent: number): Promise<boolean> {
    const client = this.client(agent)
    const answer = await this.#ask(async () => {
      const images = [...(await Array.fromAsync(client.images.all())), ...(await Array.fromAsync(client.images.all({ status: 'deleted' })))]
      for (const { id } of images) await client.images.delete(id, { permanent: true })
    })
    return answer.kind === 'done'
  }

  /** Lists the images of an agent; false when there was no answer. */
  async list(agent: number): Promise<boolean> {
    const known = this.expected.images.filter((image) => image.agent === agent)
    const looks = new Map(known.map((image) => [image, image.look(this.#nowMs)]))
    const answer = await this.#ask(async () => Array.fromAsync(this.client(agent).images.all()))
    const bin = await this.#ask(async () => Array.fromAsync(this.client(agent).images.all({ status: 'deleted' })))
    if (answer.kind !== 'done' || bin.kind !== 'done') return false
    for (const image of answer.value) if (isInProgress(image)) this.#uploadOf(agent, image)
    const listed = new Map([...answer.value, ...bin.value].filter((image) => !isInProgress(image)).map((image) => [image.id, image]))
    const names = new Map<string, string>()
    for (const image of listed.values()) {
      const other = names.get(image.name)
      if (other !== undefined && other !== image.id) throw new Violation(`upload ${image.name} became two images, ${other} and ${image.id}`)
      names.set(image.name, image.id)
      if (!this.expected.images.some(({ id, agent: at }) => id === image.id && at === agent)) this.#stranger(agent, image)
    }
    for (const [image, seen] of looks) {
      const found = listed.get(image.id)
      const state = found && this.#stateOf(found, image)
      if (state !== undefined) seen(state, this.#nowMs)
      // The two lists do not see one moment: an image that was restored in between is in neither.
      else if (!found && !image.states.has('gone')) await this.look(image)
    }
    return true
  }

  /** An image that no answer told of yet: of an upload whose last answer was lost. */
  #stranger(agent: number, image: Image): void {
    // Of an upload that is being published, and is published again when the agent starts.
    if (image.status === 'error' && image.statusReason?.startsWith(MISSING_METADATA)) return
    const upload = this.#uploadOf(agent, image)
    if (upload.imageId !== undefined && upload.imageId !== image.id)
      throw new Violation(`upload ${upload.name} became two images, ${upload.imageId} and ${image.id}`)
    if (upload.sent < upload.content.length)
      throw new Violation(`image ${image.name} exists, but only ${upload.sent} of ${upload.content.length} bytes were sent`)
    this.#becameImage(upload, image.id).states = new Set(['live'])
  }

  /** The upload that became an image, or will become it. */
  #uploadOf(agent: number, image: Image): ModelUpload {
    const all = [...this.expected.uploads.values(), ...this.expected.formerUploads]
    const upload = all.find((one) => one.name === image.name && one.agent === agent)
    if (!upload) throw new Violation(`image ${image.name} (${image.id}) came from nowhere`)
    return upload
  }

  /** The state of an image as the model has it; undefined when the agent cannot read its files. */
  #stateOf(found: Image, image: ModelImage): ImageState | undefined {
    const { status, statusReason } = found
    if (status === 'fileUnavailable' && this.#agents[image.agent]?.disk.mayFail) return undefined
    if (status === 'error' && statusReason?.startsWith(MISSING_METADATA)) return 'torn'
    if (found.length !== image.bytes.length)
      throw new Violation(`image ${image.name} (${image.id}) has ${found.length} bytes instead of ${image.bytes.length}, and is ${status}: ${statusReason}`)
    if (status !== 'deleted' && status !== 'deleting' && status !== 'available' && status !== 'creating' && !image.mayBeDamaged)
      throw new Violation(`image ${image.name} (${image.id}) is ${status}: ${statusReason}`)
    return status === 'deleted' ? 'binned' : status === 'deleting' ? 'gone' : 'live'
  }

  /** Orders a copy of an image at another agent. */
  async sync(source: ModelImage, to: number): Promise<void> {
    if (source.agent === to) return
    let copy = this.expected.images.find((image) => image.agent === to && image.id === source.id)
    if (!copy) {
      copy = new ModelImage(to, { id: source.id, name: source.name, bytes: source.bytes, states: ['gone'] })
      this.expected.images.push(copy)
    }
    const target = copy
    target.mayBeDamaged ||= this.rotten.has(to)
    // The task outlives the process. It restores a copy that is in the recycle bin.
    const change = target.begin((state) => (state === 'gone' ? ['torn', 'live'] : state === 'live' ? [] : ['live']), undefined, this.#nowMs)
    const answer = await this.#ask(() => this.client(to).sync({ source: { url: this.url(source.agent), token: ADMIN_TOKEN }, images: [source.id] }))
    if (answer.kind === 'refused') change.refused()
    if (answer.kind !== 'done') return
    this.#keepTask(to, answer.value.id, 'sync', (state) => (state === 'succeeded' ? change.done('live') : change.over()))
  }

  /** Starts a cleanup of the agent that has an upload. */
  async cleanOf(slot: number): Promise<void> {
    const upload = this.expected.uploads.get(slot)
    if (upload) await this.maintain(upload.agent, 'cleanup')
  }

  /** Starts a task of maintenance. */
  async maintain(agent: number, what: 'cleanup' | 'scrub' | 'expire'): Promise<void> {
    const wasRotten = this.rotten.has(agent)
    const answer = await this.#ask(() => this.client(agent).schedules.run(what))
    if (answer.kind !== 'done') return
    this.#keepTask(agent, answer.value.id, what, (state) => {
      // What a scrub has found is not relied on any more: what is stored from now on is whole.
      if (what === 'scrub' && state === 'succeeded' && wasRotten) this.rotten.delete(agent)
    })
  }

  #keepTask(agent: number, id: string, kind: string, onEnded: (state: string) => void): void {
    const known = this.expected.tasks.find((task) => task.id === id && task.agent === agent)
    if (!known) this.expected.tasks.push({ agent, id, kind, endedAs: undefined, onEnded })
    else if (known.endedAs === undefined) {
      const { onEnded: first } = known
      known.onEnded = (state) => {
        first?.(state)
        onEnded(state)
      }
    }
  }

  /** Looks at all tasks that were accepted; false when there was no answer. */
  async tasks(agent: number): Promise<boolean> {
    for (const task of [...this.expected.tasks]) {
      if (task.agent !== agent) continue
      const answer = await this.#ask(() => this.client(agent).tasks.get(task.id))
      if (answer.kind === 'unknown') return false
      // The state folder may have been lost meanwhile, and the task with it.
      if (!this.expected.tasks.includes(task)) continue
      if (answer.kind === 'refused') throw new Violation(`the ${task.kind} task ${task.id} was accepted and is not known any more`)
      const { state, endedAt } = answer.value
      if (task.endedAs !== undefined && task.endedAs !== state) throw new Violation(`the ${task.kind} task ${task.id} had ${task.endedAs} and is ${state} now`)
      if (endedAt === null || task.endedAs !== undefined) continue
      task.endedAs = state
      task.onEnded?.(state)
      task.onEnded = undefined
    }
    return true
  }

  async createToken(agent: number): Promise<void> {
    const answer = await this.#ask(() => this.client(agent).tokens.create({ name: 'someone', role: 'viewer' }))
    if (answer.kind === 'done') this.expected.tokens.push({ agent, id: answer.value.id, mayExist: true, mustExist: true })
  }

  async deleteToken(agent: number): Promise<void> {
    const token = this.expected.tokens.findLast((one) => one.agent === agent && one.mustExist)
    if (!token) return
    token.mustExist = false
    const answer = await this.#ask(() => this.client(agent).tokens.delete(token.id))
    if (answer.kind === 'done') token.mayExist = false
  }

  /** Compares the tokens of an agent; false when there was no answer. */
  async tokens(agent: number): Promise<boolean> {
    const before = [...this.expected.tokens]
    const answer = await this.#ask(() => this.client(agent).tokens.list({ limit: 500 }))
    if (answer.kind !== 'done') return false
    const ids = new Set(answer.value.items.map(({ id }) => id))
    for (const token of before) {
      if (token.agent !== agent || !this.expected.tokens.includes(token)) continue
      if (token.mustExist && !ids.has(token.id)) throw new Violation(`token ${token.id} was created and is gone`)
      if (!token.mayExist && ids.has(token.id)) throw new Violation(`token ${token.id} was deleted and is back`)
    }
    return true
  }

  /** The node-local state of an agent is lost: nobody can ask for its tasks and tokens any more. */
  stateLost(agent: number): void {
    const { tasks, tokens } = this.expected
    for (const task of tasks.filter((one) => one.agent === agent)) tasks.splice(tasks.indexOf(task), 1)
    for (const token of tokens.filter((one) => one.agent === agent)) tokens.splice(tokens.indexOf(token), 1)
  }

  /** Slices of an agent were damaged: whatever may name one of them may be degraded. */
  rot(agent: number): void {
    this.rotten.add(agent)
    this.wasRotten.add(agent)
    for (const image of this.expected.images) if (image.agent === agent) image.mayBeDamaged = true
    for (const upload of [...this.expected.uploads.values(), ...this.expected.formerUploads]) if (upload.agent === agent) upload.mayBeDamaged = true
  }

  async #ask<T>(run: () => Promise<T>): Promise<{ kind: 'done'; value: T } | { kind: 'refused'; code: string } | { kind: 'unknown' }> {
    try {
      return { kind: 'done', value: await run() }
    } catch (error) {
      const { code } = problemOf(error)
      return UNKNOWN.has(code) ? { kind: 'unknown' } : { kind: 'refused', code }
    }
  }
}

function problemOf(error: unknown): { readonly code: string } {
  if (error instanceof Violation) throw error
  if (error instanceof ProblemError) return { code: error.code }
  throw error
}

function metadataOf(name: string): Record<string, string> {
  return { 'upload-metadata': `filename ${btoa(`${name}.raw`)},name ${btoa(name)}` }
}

/** A body in pieces, which breaks after a number of bytes. */
function bodyOf(bytes: Buffer, cutAt: number | null): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream(
    {
      pull(controller) {
        if (cutAt !== null && at >= cutAt) {
          controller.error(new Error('the connection was cut'))
          return
        }
        const end = Math.min(bytes.length, at + PIECE_BYTES, cutAt ?? bytes.length)
        if (at >= bytes.length) {
          controller.close()
          return
        }
        controller.enqueue(Uint8Array.from(bytes.subarray(at, end)))
        at = end
      },
    },
    { highWaterMark: 0 },
  )
}

/** Bytes as frames of slices: the first of each slice with its bytes, repeats as references. Of a liar, one byte of each slice is another. */
function framesOf(bytes: Buffer, isLying: boolean): Buffer {
  const cuts = createCutter(CUTTER_DEFAULT, BLOCK_PRIMITIVES).cut(bytes, true)
  const parts: Uint8Array[] = []
  const sent = new Set<string>()
  let start = 0
  for (const [i, end] of cuts.ends.entries()) {
    const slice = Buffer.from(bytes.subarray(start, end))
    const digest = new Uint8Array(new Bun.CryptoHasher('sha256').update(slice).digest())
    const key = Buffer.from(digest).toString('hex')
    if (isLying) slice[0] = (slice[0] ?? 0) ^ 0x41
    if (cuts.zeros[i]) parts.push(encodeReferenceFrame(null, slice.length))
    else if (sent.has(key)) parts.push(encodeReferenceFrame(digest, slice.length))
    else parts.push(encodeFrameHeader({ digest, length: slice.length, codec: 0, stored: slice }), slice)
    sent.add(key)
    start = end
  }
  return Buffer.concat([...parts, encodeEndFrame()])
}

/** Whether an image is an upload that is not finished. */
function isInProgress({ status }: Image): boolean {
  return status === 'uploading' || status === 'pending'
}
