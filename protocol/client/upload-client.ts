// The part of the typed client that uploads slices (docs/protocol.md, "Delta upload"). The upload is a tus resource, so any tus client can resume it.

import type { Answer, Call } from './exchange.ts'
import { SLICES_MEDIA_TYPE } from '../slices/frames.ts'
import { isId } from '../ids.ts'
import { problem } from '../problems.ts'

/** The state of an upload. */
export interface UploadState {
  /** Number of bytes of the image that are durable. */
  readonly offset: number
  /** Id of the image; undefined until the upload is complete. */
  readonly imageId: string | undefined
}

/** The length and metadata of a new upload. */
export interface NewUpload {
  /** Length of the image in bytes. */
  readonly length: number
  readonly metadata: Readonly<Record<string, string>>
}

type CallOptions = { readonly signal?: AbortSignal | undefined }

export interface UploadClient {
  /** Creates an upload and returns its id. */
  create(order: NewUpload, options?: CallOptions): Promise<string>
  /** Returns the state of an upload; undefined when it does not exist or has expired. */
  show(id: string, options?: CallOptions): Promise<UploadState | undefined>
  /**
   * Sends frames of slices, including the end frame, starting at an offset at which a slice begins. When it throws ProblemError, some slices may be
   * durable: `show` returns the offset.
   */
  sendSlices(id: string, offset: number, frames: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<UploadState>
}

/** The header of every request of tus (tus 1.0.0, "Tus-Resumable"). */
export const TUS = { 'tus-resumable': '1.0.0' }

/** Creates a client of an agent's uploads. `call` sends a call to the agent. */
export function createUploadClient(call: (request: Call) => Promise<Answer>): UploadClient {
  return {
    async create({ length, metadata }, { signal } = {}) {
      const headers = { ...TUS, 'upload-length': String(length), 'upload-metadata': encodeMetadata(metadata) }
      const answer = await call({ method: 'POST', path: ['uploads'], headers, signal })
      await answer.close()
      const id = uploadIdOf(answer.headers.get('location') ?? '')
      if (id === undefined) throw problem('peer-unreachable', 'The answer to the creation of an upload has no valid Location.')
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

/** Returns the id in the URL of an upload; undefined when it is not the URL of an upload. */
export function uploadIdOf(url: string): string | undefined {
  const id = /\/v1\/uploads\/([^/?#]+)\/?$/.exec(url)?.[1]
  return id !== undefined && isId('upl', id) ? id : undefined
}

function stateOf(answer: Answer): UploadState {
  const offset = Number(answer.headers.get('upload-offset') ?? Number.NaN)
  if (!Number.isSafeInteger(offset) || offset < 0) throw problem('peer-unreachable', 'The answer has no valid Upload-Offset.')
  return { offset, imageId: /\/v1\/images\/(img_[0-9a-z]+)$/.exec(answer.headers.get('content-location') ?? '')?.[1] }
}

/** Returns the value of `Upload-Metadata` (tus 1.0.0, "Creation"): keys with Base64 values. */
function encodeMetadata(metadata: Readonly<Record<string, string>>): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${btoa(String.fromCharCode(...new TextEncoder().encode(value)))}`)
    .join(',')
}
