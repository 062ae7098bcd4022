// The part of the typed client that sends uploads by slices (docs/protocol.md, "Delta upload"): the same tus resource that
// any tus client may go on with.

import type { Answer, Call } from './exchange.ts'
import { SLICES_MEDIA_TYPE } from './frames.ts'
import { isId } from './ids.ts'
import { problem } from './problems.ts'

/** Where an upload stands. */
export interface UploadState {
  /** Bytes of the image that are durable. */
  readonly offset: number
  /** The image it became; undefined before. */
  readonly imageId: string | undefined
}

/** What an upload is told when it is created. */
export interface NewUpload {
  /** Length of the image in bytes. */
  readonly length: number
  readonly metadata: Readonly<Record<string, string>>
}

type CallOptions = { readonly signal?: AbortSignal | undefined }

export interface UploadClient {
  /** Creates an upload and gives its id. */
  create(order: NewUpload, options?: CallOptions): Promise<string>
  /** Undefined when the agent does not know it, or not any more. */
  show(id: string, options?: CallOptions): Promise<UploadState | undefined>
  /**
   * Sends frames of slices, the end frame among them, from an offset at which a slice begins. Throws ProblemError also
   * when some of them are durable: `show` says up to where.
   */
  sendSlices(id: string, offset: number, frames: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<UploadState>
}

const TUS = { 'tus-resumable': '1.0.0' }

/** Makes the client of an agent's uploads, on what sends calls to it. */
export function createUploadClient(call: (request: Call) => Promise<Answer>): UploadClient {
  return {
    async create({ length, metadata }, { signal } = {}) {
      const headers = { ...TUS, 'upload-length': String(length), 'upload-metadata': encodeMetadata(metadata) }
      const answer = await call({ method: 'POST', path: ['uploads'], headers, signal })
      await answer.close()
      const id = uploadIdOf(answer.headers.get('location') ?? '')
      if (id === undefined) throw problem('peer-unreachable', 'The answer to the creation of an upload has no address of an upload.')
      return id
    },

    async show(id, { signal } = {}) {
      const answer = await call({ method: 'HEAD', path: ['uploads', id], headers: TUS, accept: [404, 410], signal })
      await answer.close()
      return answer.status === 200 ? stateOf(answer) : undefined
    },

    async sendSlices(id, offset, frames, { signal } = {}) {
      const headers = { ...TUS, 'content-type': SLICES_MEDIA_TYPE, 'upload-offset': String(offset) }
      const answer = await call({ method: 'PATCH', path: ['uploads', id], headers, body: frames, signal })
      await answer.close()
      return stateOf(answer)
    },
  }
}

/** The id in the address of an upload, or undefined when it is not the address of one here. */
export function uploadIdOf(url: string): string | undefined {
  const id = /\/v1\/uploads\/([^/?#]+)\/?$/.exec(url)?.[1]
  return id !== undefined && isId('upl', id) ? id : undefined
}

function stateOf(answer: Answer): UploadState {
  const offset = Number(answer.headers.get('upload-offset') ?? Number.NaN)
  if (!Number.isSafeInteger(offset) || offset < 0) throw problem('peer-unreachable', 'The answer about an upload has no offset.')
  return { offset, imageId: /\/v1\/images\/(img_[0-9a-z]+)$/.exec(answer.headers.get('content-location') ?? '')?.[1] }
}

/** `Upload-Metadata` (tus 1.0.0, "Creation"): keys with the Base64 of their values. */
function encodeMetadata(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`)
    .join(',')
}
