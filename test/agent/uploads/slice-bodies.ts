// Bodies of slices for the tests of uploads: frames made of bytes, and requests that send them.

import { expect } from 'bun:test'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame, SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { createRandom } from '../../support/properties.ts'

export const BLOCK = 4096
export const OFFSET = { 'Content-Type': 'application/offset+octet-stream' }
export const SLICES = { 'Content-Type': SLICES_MEDIA_TYPE }

export type Bytes = Uint8Array<ArrayBuffer>

/** Returns random bytes of a seed. */
export const noise = (length: number, seed: number): Bytes => new Uint8Array(createRandom(seed).bytes(length))
export const digestOf = (bytes: Uint8Array): Bytes => new Uint8Array(new Bun.CryptoHasher('sha256').update(bytes).digest())

/** Encodes a slice with its bytes. */
export const bring = (bytes: Bytes, digest = digestOf(bytes)): Bytes =>
  joined(encodeFrameHeader({ digest, length: bytes.length, codec: CODEC_RAW, stored: bytes }), bytes)
/** Encodes a reference to a slice. */
export const name = (bytes: Bytes, length = bytes.length): Bytes => encodeReferenceFrame(digestOf(bytes), length)
/** Encodes a run of zeros. */
export const zeros = (length: number): Bytes => encodeReferenceFrame(null, length)
export const joined = (...parts: readonly Uint8Array[]): Bytes => new Uint8Array(Buffer.concat(parts))
/** Encodes a complete body. */
export const body = (...frames: readonly Bytes[]): Bytes => joined(...frames, encodeEndFrame())

/** Creates an upload and returns its URL. */
export async function create(server: UploadServer, length: number, headers: Record<string, string> = {}): Promise<string> {
  const response = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(length), ...headers })
  expect(response.status).toBe(201)
  return response.headers.get('location') ?? ''
}

export const patch = (server: UploadServer, url: string, offset: number, sent: Bytes | ReadableStream, headers: Record<string, string | null> = SLICES) =>
  server.ask('PATCH', url, { 'Upload-Offset': String(offset), ...headers }, sent)

export const offsetAt = async (server: UploadServer, url: string): Promise<number> => Number((await server.ask('HEAD', url)).headers.get('upload-offset'))

/** Creates an image of some slices, so that the store has them. */
export async function know(server: UploadServer, slices: readonly Bytes[]): Promise<void> {
  const url = await create(
    server,
    slices.reduce((sum, slice) => sum + slice.length, 0),
  )
  expect((await patch(server, url, 0, body(...slices.map((slice) => bring(slice))))).status).toBe(204)
}

/** Returns the content of the image that an upload became. */
export const contentOf = (server: UploadServer, answer: Response): Buffer =>
  Buffer.from(server.content((answer.headers.get('content-location') ?? '').slice(11)))
