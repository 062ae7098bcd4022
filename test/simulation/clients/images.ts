// What clients do with images, and what they hold the agents to.

import type { Image } from '../../../protocol/images/image.ts'
import { Violation } from '../model.ts'
import type { ChangeEnd, ImageState, ModelImage } from '../model.ts'
import { problemOf, UNKNOWN } from './asking.ts'
import type { Asking } from './asking.ts'

/** What the agent says of an image of which only the manifest is there. */
const MISSING_METADATA = 'Its image.json is missing'

export class ImageClients {
  readonly #asking: Asking

  constructor(asking: Asking) {
    this.#asking = asking
  }

  /** An image by its number, counted from the newest; those that may be in the recycle bin come first where one is wanted. */
  byNumber(number: number, isFromBin: boolean): ModelImage | undefined {
    const binned = isFromBin ? this.#asking.expected.images.filter(({ states }) => states.has('binned')) : []
    const images = binned.length > 0 ? binned : this.#asking.expected.images
    return images.length === 0 ? undefined : images[images.length - 1 - (number % images.length)]
  }

  /** Looks at an image; false when there was no answer. */
  async look(image: ModelImage): Promise<boolean> {
    const seen = image.look(this.#asking.nowMs)
    const found = await this.#asking.ask(() => this.#asking.client(image.agent).images.get(image.id))
    if (found.kind === 'unknown') return false
    const state = found.kind === 'refused' ? 'gone' : this.#stateOf(found.value, image)
    if (state !== undefined) seen(state, this.#asking.nowMs)
    return true
  }

  /** Reads a range of an image; returns the kind of the outcome. */
  async read(image: ModelImage, from = 0, to = image.bytes.length): Promise<'same' | 'refused' | 'unknown'> {
    const start = Math.min(from, Math.max(0, image.bytes.length - 1))
    const end = Math.max(start + 1, Math.min(to, image.bytes.length))
    if (image.bytes.length === 0) return 'same'
    let read: Buffer
    try {
      const answer = await this.#asking.client(image.agent).images.content(image.id, { range: `bytes=${start}-${end - 1}` })
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
    const { owner } = this.#asking.agents[image.agent] ?? {}
    const change = image.begin((state) => (state === 'gone' || permanent ? ['gone'] : ['binned']), owner, this.#asking.nowMs)
    const answer = await this.#asking.ask(() => this.#asking.client(image.agent).images.delete(image.id, { permanent }))
    if (answer.kind === 'done') change.done(permanent ? 'gone' : 'binned')
    else if (answer.kind === 'refused' && answer.code === 'not-found') change.done('gone')
    else this.#end(change, answer.kind)
  }

  async restore(image: ModelImage): Promise<void> {
    const { owner } = this.#asking.agents[image.agent] ?? {}
    const change = image.begin((state) => (state === 'gone' ? [] : ['live']), owner, this.#asking.nowMs)
    const answer = await this.#asking.ask(() => this.#asking.client(image.agent).images.restore(image.id))
    if (answer.kind === 'done') change.done('live')
    else this.#end(change, answer.kind)
  }

  #end(change: ChangeEnd, kind: 'done' | 'refused' | 'unknown'): void {
    if (kind === 'refused') change.refused()
    else change.unknown()
  }

  /** Removes every image of an agent for good; false when there was no answer. */
  async purgeAll(agent: number): Promise<boolean> {
    const client = this.#asking.client(agent)
    const answer = await this.#asking.ask(async () => {
      const images = [...(await Array.fromAsync(client.images.all())), ...(await Array.fromAsync(client.images.all({ status: 'deleted' })))]
      for (const { id } of images) await client.images.delete(id, { permanent: true })
    })
    return answer.kind === 'done'
  }

  /** Lists the images of an agent; false when there was no answer. */
  async list(agent: number): Promise<boolean> {
    const known = this.#asking.expected.images.filter((image) => image.agent === agent)
    const looks = new Map(known.map((image) => [image, image.look(this.#asking.nowMs)]))
    const answer = await this.#asking.ask(async () => Array.fromAsync(this.#asking.client(agent).images.all()))
    const bin = await this.#asking.ask(async () => Array.fromAsync(this.#asking.client(agent).images.all({ status: 'deleted' })))
    if (answer.kind !== 'done' || bin.kind !== 'done') return false
    for (const image of answer.value) if (isInProgress(image)) this.#asking.uploadOf(agent, image)
    const listed = new Map([...answer.value, ...bin.value].filter((image) => !isInProgress(image)).map((image) => [image.id, image]))
    const names = new Map<string, string>()
    for (const image of listed.values()) {
      const other = names.get(image.name)
      if (other !== undefined && other !== image.id) throw new Violation(`upload ${image.name} became two images, ${other} and ${image.id}`)
      names.set(image.name, image.id)
      if (!this.#asking.expected.images.some(({ id, agent: at }) => id === image.id && at === agent)) this.#stranger(agent, image)
    }
    for (const [image, seen] of looks) {
      const found = listed.get(image.id)
      const state = found && this.#stateOf(found, image)
      if (state !== undefined) seen(state, this.#asking.nowMs)
      // The two lists do not see one moment: an image that was restored in between is in neither.
      else if (!found && !image.states.has('gone')) await this.look(image)
    }
    return true
  }

  /** An image that no answer told of yet: of an upload whose last answer was lost. */
  #stranger(agent: number, image: Image): void {
    // Of an upload that is being published, and is published again when the agent starts.
    if (image.status === 'error' && image.statusReason?.startsWith(MISSING_METADATA)) return
    const upload = this.#asking.uploadOf(agent, image)
    if (upload.imageId !== undefined && upload.imageId !== image.id)
      throw new Violation(`upload ${upload.name} became two images, ${upload.imageId} and ${image.id}`)
    if (upload.sent < upload.content.length)
      throw new Violation(`image ${image.name} exists, but only ${upload.sent} of ${upload.content.length} bytes were sent`)
    this.#asking.becameImage(upload, image.id).states = new Set(['live'])
  }

  /** The state of an image as the model has it; undefined when the agent cannot read its files. */
  #stateOf(found: Image, image: ModelImage): ImageState | undefined {
    const { status, statusReason } = found
    if (status === 'fileUnavailable' && this.#asking.agents[image.agent]?.disk.mayFail) return undefined
    if (status === 'error' && statusReason?.startsWith(MISSING_METADATA)) return 'torn'
    if (found.length !== image.bytes.length)
      throw new Violation(`image ${image.name} (${image.id}) has ${found.length} bytes instead of ${image.bytes.length}, and is ${status}: ${statusReason}`)
    if (status !== 'deleted' && status !== 'deleting' && status !== 'available' && status !== 'creating' && !image.mayBeDamaged)
      throw new Violation(`image ${image.name} (${image.id}) is ${status}: ${statusReason}`)
    return status === 'deleted' ? 'binned' : status === 'deleting' ? 'gone' : 'live'
  }
}

/** Whether an image is an upload that is not finished. */
function isInProgress({ status }: Image): boolean {
  return status === 'uploading' || status === 'pending'
}
