// The DataStore of @tus/server whose uploads are those of an agent: it holds nothing, and every offset is one that the agent has given.

import type { Readable } from 'node:stream'
import { DataStore, ERRORS, Metadata, Upload } from '@tus/utils'
import { isId } from '../../protocol/ids.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { AgentUpload, AgentUploads } from './agent-uploads.ts'

/** What one request of a client brings besides what @tus/server hands to a DataStore. */
export interface RelayedRequest {
  /** `Upload-Metadata` as it was sent, whose values need not be UTF-8. */
  readonly metadata: string | undefined
  /** `Upload-Length` of a PATCH. */
  readonly declared: number | undefined
  /** The body, which then does not pass through the streams of @tus/server. */
  readonly body: AsyncIterable<Uint8Array> | undefined
}

/** Relays to an agent. The id of an upload is the agent's. One object serves one request, whose answer needs `seen` and `refusal`. */
export class RelayStore extends DataStore {
  /** What the agent said last of the upload. */
  seen: AgentUpload | undefined
  /** `Upload-Expires` as the agent said it last. */
  expires: string | null = null
  /** What the agent refused. */
  refusal: ProblemError | undefined
  readonly #uploads: AgentUploads
  readonly #request: RelayedRequest | undefined

  constructor(uploads: AgentUploads, request?: RelayedRequest) {
    super()
    this.#uploads = uploads
    this.#request = request
    this.extensions = ['creation', 'creation-with-upload', 'creation-defer-length', 'expiration', 'termination']
  }

  /** Creates the upload at the agent, which chooses the id. */
  override async create(upload: Upload): Promise<Upload> {
    const metadata = this.#request ? this.#request.metadata : upload.metadata && Metadata.stringify(upload.metadata)
    const { id, expires } = await this.#ask(() => this.#uploads.create({ length: upload.size, metadata }))
    this.expires = expires
    upload.id = id
    upload.storage = storageOf(upload.id)
    return upload
  }

  override async getUpload(id: string): Promise<Upload> {
    const seen = this.#saw(await this.#ask(() => this.#uploads.show(known(id))))
    const { offset, length, metadata } = seen
    // A client that repeats the length of an upload is not refused: its first request may have been cut after the agent took it.
    const isAgain = length !== undefined && this.#request?.declared === length && length >= offset
    return new Upload({
      id,
      offset,
      storage: storageOf(id),
      ...(length === undefined || isAgain ? {} : { size: length }),
      ...(this.#request || metadata === null || metadata === '' ? {} : { metadata: Metadata.parse(metadata) }),
    })
  }

  /** Sends the bytes as they come, and returns the offset that is durable at the agent. Rejects when the stream fails; what had arrived is kept. */
  override async write(stream: Readable, id: string, offset: number): Promise<number> {
    const body = this.#request?.body ?? piecesOf(stream)
    return this.#saw(await this.#ask(() => this.#uploads.append(known(id), offset, body))).offset
  }

  override async declareUploadLength(id: string, length: number): Promise<void> {
    const { offset } = await this.#ask(() => this.#uploads.show(known(id)))
    await this.#ask(() => this.#uploads.declareLength(id, offset, length))
  }

  override async remove(id: string): Promise<void> {
    await this.#ask(() => this.#uploads.remove(known(id)))
  }

  /** Uploads expire at the agent, which says so in Upload-Expires. */
  override getExpiration(): number {
    return 0
  }

  /** The agent removes them. */
  override deleteExpired(): Promise<number> {
    return Promise.resolve(0)
  }

  #saw(upload: AgentUpload): AgentUpload {
    this.seen = upload
    this.expires = upload.expires
    return upload
  }

  /** Keeps a refusal for the answer, and throws it in the form of @tus/server. */
  async #ask<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      this.refusal = error
      throw Object.assign(new Error(error.problem.detail, { cause: error }), { status_code: error.problem.status, body: error.problem.detail })
    }
  }
}

/** Returns an id of the form that agents give; no other is asked for. */
function known(id: string): string {
  if (isId('upl', id)) return id
  throw Object.assign(new Error(ERRORS.FILE_NOT_FOUND.body), ERRORS.FILE_NOT_FOUND)
}

function storageOf(id: string): { readonly type: string; readonly path: string } {
  return { type: 'slipway', path: `/v1/uploads/${id}` }
}

/** Yields a stream of Node. A stream that was destroyed before its end is an error, not an end. */
async function* piecesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) yield piece instanceof Uint8Array ? piece : new TextEncoder().encode(String(piece))
  if (!stream.readableEnded) throw new Error('The body ended early.')
}
