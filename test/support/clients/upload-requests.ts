// Requests that many tests of uploads send.

import { expect } from 'bun:test'
import type { UploadServer } from '../agents/upload-server.ts'

/** Content type of a PATCH. */
export const OFFSET = { 'Content-Type': 'application/offset+octet-stream' }

/** Returns pseudo-random bytes, the same for the same seed. */
export function someBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    made[i] = state >>> 16
  }
  return made
}

/** Creates an upload and returns its path. */
export async function create(server: UploadServer, length: number, headers: Record<string, string> = {}): Promise<string> {
  const response = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(length), ...headers })
  expect(response.status).toBe(201)
  return response.headers.get('location') ?? ''
}

/** Sends bytes at an offset. */
export function patch(
  server: UploadServer,
  url: string,
  offset: number,
  body: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return server.ask('PATCH', url, { ...OFFSET, 'Upload-Offset': String(offset), ...headers }, body)
}
