// How clients ask the agents of a simulation, and everything that the model holds of their answers.

import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { ModelImage, Violation } from '../model.ts'
import type { ModelTask, ModelToken, ModelUpload } from '../model.ts'
import { ADMIN_TOKEN } from '../world/simulated-agent.ts'
import type { SimulatedAgent } from '../world/simulated-agent.ts'
import type { Network } from '../world/network.ts'
import { world } from '../world/world.ts'

export const TUS = { 'tus-resumable': '1.0.0', authorization: `Bearer ${ADMIN_TOKEN}` }

/** Everything that the model holds. */
export interface Expectations {
  readonly uploads: Map<number, ModelUpload>
  /** Uploads whose slot was given away: their images are still held to the model. */
  readonly formerUploads: ModelUpload[]
  readonly images: ModelImage[]
  readonly tasks: ModelTask[]
  readonly tokens: ModelToken[]
}

/** Problems after which a request may have had its effect: there was no answer, or the disk failed in the middle. */
export const UNKNOWN = new Set(['peer-unreachable', 'internal', 'insufficient-storage', 'store-unavailable', 'shutting-down'])

export type Answer<T> = { kind: 'done'; value: T } | { kind: 'refused'; code: string } | { kind: 'unknown' }

export class Asking {
  readonly agents: readonly SimulatedAgent[]
  readonly network: Network
  readonly expected: Expectations = { uploads: new Map(), formerUploads: [], images: [], tasks: [], tokens: [] }
  /** Agents whose disk has damaged slices that no scrub has found yet, and those that ever had some. */
  readonly rotten = new Set<number>()
  readonly wasRotten = new Set<number>()

  constructor(agents: readonly SimulatedAgent[], network: Network) {
    this.agents = agents
    this.network = network
  }

  get nowMs(): number {
    return world().scheduler.nowMs
  }

  client(agent: number): AgentClient {
    return createAgentClient({ baseUrl: this.url(agent), token: ADMIN_TOKEN, fetch: this.network.fetch })
  }

  url(agent: number): string {
    return `http://${this.agents[agent]?.host}`
  }

  request(agent: number, method: string, path: string, headers: Record<string, string>, body?: ReadableStream<Uint8Array>): Promise<Response> {
    return this.network.fetch(`${this.url(agent)}${path}`, { method, headers: { ...TUS, ...headers }, ...(body ? { body } : {}) })
  }

  async ask<T>(run: () => Promise<T>): Promise<Answer<T>> {
    try {
      return { kind: 'done', value: await run() }
    } catch (error) {
      const { code } = problemOf(error)
      return UNKNOWN.has(code) ? { kind: 'unknown' } : { kind: 'refused', code }
    }
  }

  /** An upload has become an image: it is known from now on. */
  becameImage(upload: ModelUpload, imageId: string): ModelImage {
    upload.imageId = imageId
    const known = this.expected.images.find((image) => image.id === imageId && image.agent === upload.agent)
    if (known) return known
    const image = new ModelImage(upload.agent, { id: imageId, name: upload.name, bytes: upload.content, states: ['live'] })
    image.mayBeDamaged = upload.mayBeDamaged
    this.expected.images.push(image)
    return image
  }

  /** The upload that became an image, or will become it. */
  uploadOf(agent: number, image: Image): ModelUpload {
    const all = [...this.expected.uploads.values(), ...this.expected.formerUploads]
    const upload = all.find((one) => one.name === image.name && one.agent === agent)
    if (!upload) throw new Violation(`image ${image.name} (${image.id}) came from nowhere`)
    return upload
  }
}

/** Returns the code of a problem. Throws everything that is none. */
export function problemOf(error: unknown): { readonly code: string } {
  if (error instanceof Violation) throw error
  if (error instanceof ProblemError) return { code: error.code }
  throw error
}
