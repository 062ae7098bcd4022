// The state that an agent must have after a power cut, and its comparison with an agent. A value that was not acknowledged may be
// the old or the new one; the one that is seen first must then stay.

import type { Image } from '../../protocol/images/image.ts'
import type { Task } from '../../protocol/task.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { PromiseBroken } from '../support/agents/ledger.ts'
import { until } from '../support/until.ts'
import { History, offsetsAt } from './history.ts'
import type { ImageFacts, ImageState, TaskFacts, TokenFacts, UploadFacts, UploadState } from './history.ts'
import { createRecordedClient } from './recorded-client.ts'

/** The possible values of everything in a history, for one disk state. */
export interface Expectation {
  /** Waits until the agent is idle, compares everything, and narrows possible values to those it shows. Throws PromiseBroken. */
  compare(agent: AgentProcess): Promise<void>
  /** Sends the rest of the unfinished uploads that `choose` picks; their images are expected from then on. */
  finishUploads(agent: AgentProcess, choose: () => boolean): Promise<void>
  /** Uploads a new image, which is expected from then on. */
  addImage(agent: AgentProcess, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** Restores every image from the recycle bin; their bytes are compared from then on. */
  restoreBinned(agent: AgentProcess): Promise<void>
}

interface PossibleUpload {
  states: UploadState[]
  /** Lowest and highest possible offset. */
  least: number
  greatest: number
}

interface Possible {
  enabled: boolean[]
  description: string[]
  readonly tokens: Map<TokenFacts, string[]>
  readonly tasks: Map<TaskFacts, string[]>
  readonly images: Map<ImageFacts, { states: ImageState[]; descriptions: string[] }>
  readonly uploads: Map<UploadFacts, PossibleUpload>
}

/** Returns the expectation for a disk that was cut at a position in the write log. */
export function expectAt(history: History, position: number): Expectation {
  const possible = possibleAt(history, position)
  return {
    async compare(agent) {
      await compareSettings(agent, possible)
      for (const [token, states] of possible.tokens) possible.tokens.set(token, [await compareToken(agent, token, states)])
      for (const [task, states] of possible.tasks) possible.tasks.set(task, [await compareTask(agent, task, states)])
      for (const [upload, at] of possible.uploads) await compareUpload(agent, upload, at)
      await compareImages(agent, possible)
    },
    async finishUploads(agent, choose) {
      await agent.client.store.enable()
      possible.enabled = [true]
      for (const [upload, at] of possible.uploads) if (at.states[0] === 'open' && choose()) await finishUpload(agent, upload, at, possible)
    },
    async addImage(agent, name, bytes) {
      const added = new History(() => 0)
      const upload = await createRecordedClient(agent, added).createWhole(name, bytes)
      if (upload.state.last !== 'finished' || !upload.image) throw new PromiseBroken('a new image is refused after the power cut')
      possible.uploads.set(upload, { states: ['finished'], least: bytes.byteLength, greatest: bytes.byteLength })
      possible.images.set(upload.image, { states: ['kept'], descriptions: [''] })
    },
    async restoreBinned(agent) {
      for (const [image, at] of possible.images) {
        if (at.states[0] !== 'binned' || image.id === undefined) continue
        await agent.client.images.restore(image.id)
        at.states = ['kept']
      }
    },
  }
}

function possibleAt(history: History, position: number): Possible {
  return {
    enabled: history.enabled.at(position),
    description: history.description.at(position),
    tokens: new Map(history.tokens.map((token) => [token, token.state.at(position)])),
    tasks: new Map(history.tasks.map((task) => [task, task.state.at(position)])),
    images: new Map(history.images.map((image) => [image, { states: image.state.at(position), descriptions: image.description.at(position) }])),
    uploads: new Map(history.uploads.map((upload) => [upload, { states: upload.state.at(position), ...offsetsAt(upload, position) }])),
  }
}

/** Returns the value if it is one of the possible ones; otherwise throws PromiseBroken. */
function hold<T>(what: string, value: T, possible: readonly T[]): T {
  if (!possible.includes(value)) throw new PromiseBroken(`${what} is ${String(value)}, but must be ${possible.join(' or ')}`)
  return value
}

async function compareSettings(agent: AgentProcess, possible: Possible): Promise<void> {
  const store = await agent.client.store.get()
  possible.enabled = [hold('the switch of the store', store.enabled, possible.enabled)]
  possible.description = [hold('the description of the store', store.description, possible.description)]
}

async function compareToken(agent: AgentProcess, { id, secret }: TokenFacts, states: readonly string[]): Promise<string> {
  // Without the secret there is nothing to compare.
  if (secret === undefined) return states[0] ?? 'absent'
  const { status } = await fetch(`${agent.url}/v1/store`, { headers: { Authorization: `Bearer ${secret}` } })
  if (status === 200) return hold(`token ${id}`, 'valid', states)
  if (status !== 401) throw new PromiseBroken(`token ${id} is answered with ${status}`)
  return states.includes('absent') ? 'absent' : hold(`token ${id}`, 'revoked', states)
}

async function compareTask(agent: AgentProcess, { id, kind }: TaskFacts, states: readonly string[]): Promise<string> {
  const look = async (): Promise<Task | undefined> => {
    const response = await fetch(`${agent.url}/v1/tasks/${id}`, { headers: agent.headers() })
    return response.status === 404 ? undefined : ((await response.json()) as Task)
  }
  const first = await look()
  if (!first) return hold(`the task ${kind} ${id}`, 'absent', states)
  if (first.endedAt === null && states.every((state) => state === 'ended'))
    throw new PromiseBroken(`the task ${kind} ${id} had succeeded and is ${first.state}`)
  const ended = await until(`the task ${kind} ${id} has ended`, async () => {
    const task = await look()
    return task?.endedAt === null ? undefined : task
  })
  if (ended.state !== 'succeeded') throw new PromiseBroken(`the task ${kind} ${id} ${ended.state}: ${ended.error?.detail}`)
  return 'ended'
}

async function compareUpload(agent: AgentProcess, upload: UploadFacts, at: PossibleUpload): Promise<void> {
  // Without the address there is nothing to compare.
  if (upload.path === undefined) return
  const head = await fetch(agent.url + upload.path, { method: 'HEAD', headers: agent.headers({ 'Tus-Resumable': '1.0.0' }) })
  if (head.status === 404 || head.status === 410) {
    at.states = [at.states.includes('absent') ? 'absent' : hold(`upload ${upload.name}`, 'terminated', at.states)]
    return
  }
  if (head.status !== 200) throw new PromiseBroken(`HEAD of upload ${upload.name} is answered with ${head.status}`)
  const offset = Number(head.headers.get('upload-offset'))
  if (!(offset >= at.least && offset <= at.greatest))
    throw new PromiseBroken(`upload ${upload.name} is at ${offset}, but ${at.least} bytes were acknowledged and ${at.greatest} sent`)
  const isFinished = upload.image ? head.headers.has('content-location') : offset === upload.bytes.byteLength
  at.states = [hold(`upload ${upload.name}`, isFinished ? 'finished' : 'open', at.states)]
  at.least = offset
}

async function compareImages(agent: AgentProcess, possible: Possible): Promise<void> {
  const listed = await listImages(agent)
  const known = new Set<string>()
  for (const [image, at] of possible.images) {
    const found = listed.find(({ id, name }) => (image.id === undefined ? name === image.name : id === image.id))
    if (found) known.add(found.id)
    const states: readonly ImageState[] = at.states
    if (!found) {
      at.states = [states.includes('absent') ? 'absent' : hold(`image ${image.name}`, 'gone', states)]
      continue
    }
    const settled = await settle(agent, image.name, found.id)
    if (!settled) {
      at.states = [hold(`image ${image.name}`, 'gone', states)]
      continue
    }
    at.states = [hold(`image ${image.name}`, settled.status === 'deleted' ? 'binned' : 'kept', states)]
    at.descriptions = [hold(`the description of image ${image.name}`, settled.description, at.descriptions)]
    if (settled.status !== 'deleted') await compareContent(agent, image, settled.id)
  }
  const foreign = listed.find(({ id }) => !known.has(id))
  if (foreign) throw new PromiseBroken(`no client created the image ${foreign.name} (${foreign.id}, ${foreign.status})`)
}

async function listImages(agent: AgentProcess): Promise<Image[]> {
  const found: Image[] = []
  for await (const image of agent.client.images.all()) if (!isInProgress(image)) found.push(image)
  for await (const image of agent.client.images.all({ status: 'deleted' })) found.push(image)
  return found
}

/** Whether an image is an upload that is not finished: its offset is compared instead. */
function isInProgress({ status }: Image): boolean {
  return status === 'uploading' || status === 'pending'
}

/** Waits until the state of an image is final, and returns it; undefined when it was removed. */
async function settle(agent: AgentProcess, name: string, id: string): Promise<Image | undefined> {
  const settled = await until(`image ${name} has settled`, async () => {
    const response = await fetch(`${agent.url}/v1/images/${id}`, { headers: agent.headers() })
    if (response.status === 404) return 'gone'
    const image = (await response.json()) as Image
    if (isInProgress(image)) return 'gone'
    return image.status === 'creating' || image.status === 'deleting' ? undefined : image
  })
  if (settled === 'gone') return undefined
  if (settled.status !== 'available' && settled.status !== 'deleted') throw new PromiseBroken(`image ${name} is ${settled.status}: ${settled.statusReason}`)
  return settled
}

async function compareContent(agent: AgentProcess, image: ImageFacts, id: string): Promise<void> {
  const response = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })
  if (response.status !== 200) throw new PromiseBroken(`image ${image.name} cannot be read: ${response.status} ${await response.text()}`)
  const read = await response.bytes().catch((error: unknown) => {
    throw new PromiseBroken(`the content of image ${image.name} is incomplete: ${String(error)}`, { cause: error })
  })
  if (!Buffer.from(read.buffer, read.byteOffset, read.byteLength).equals(image.bytes))
    throw new PromiseBroken(`image ${image.name} differs from the bytes that were sent`)
}

async function finishUpload(agent: AgentProcess, upload: UploadFacts, at: PossibleUpload, possible: Possible): Promise<void> {
  const headers = agent.headers({ 'Tus-Resumable': '1.0.0', 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(at.least) })
  const response = await fetch(`${agent.url}${upload.path}`, { method: 'PATCH', headers, body: upload.bytes.subarray(at.least) })
  if (response.status !== 204) throw new PromiseBroken(`upload ${upload.name} cannot be finished: ${response.status} ${await response.text()}`)
  at.states = ['finished']
  at.greatest = upload.bytes.byteLength
  const image = upload.image && possible.images.get(upload.image)
  if (image) image.states = ['kept']
}
