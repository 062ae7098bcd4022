// A body with a checksum is kept whole or not at all, so its length is bounded.

import { expect, test } from 'bun:test'
import { startChecksum } from '../../../agent/uploads/body/checksum.ts'
import { bodyRoom } from '../../../agent/uploads/append-body.ts'
import type { UploadBody } from '../../../agent/uploads/append-body.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { startUploadServer, TOKENS } from '../../support/agents/upload-server.ts'

const GIB = 1_073_741_824
const actor = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }

const CHECKSUM = { algorithm: 'sha256', expected: startChecksum('sha256').digest(), field: 'Upload-Checksum' } as const

/** A body that says it has this length and ends at once. */
function bodyOf(length: number, hasChecksum: boolean): UploadBody {
  const checksum = hasChecksum ? CHECKSUM : undefined
  const stream = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
  return { stream, length, declaredLength: undefined, checksum, isSlices: false }
}

test.each([
  [16 * GIB, true, 'accepted'],
  [16 * GIB + 1, true, 'payload-too-large'],
  [16 * GIB + 1, false, 'accepted'],
])('a body of %i bytes, with a checksum: %p, ends as %s', async (length, hasChecksum, expected) => {
  await using server = await startUploadServer()
  const order = { actor, length: 17 * GIB, metadata: undefined, concatHeader: undefined, concat: undefined }
  const { id } = await server.uploads.create(order, undefined)
  const end = await server.uploads.append(id, { actor, offset: 0, body: bodyOf(length, hasChecksum) }).catch((error: unknown) => error)
  expect(end instanceof ProblemError ? end.code : 'accepted').toBe(expected)
  expect((await server.uploads.show(id, actor)).offset).toBe(0)
})

test.each([
  [17_179_869_185, true, 17_179_869_184],
  [17_179_869_184, true, 17_179_869_184],
  [17_179_869_183, true, 17_179_869_183],
  [17_179_869_185, false, 17_179_869_185],
  [0, true, 0],
])('a body of unknown length, with room for %i and with a checksum: %p, may have %i bytes', (room, hasChecksum, expected) => {
  expect(bodyRoom(room, hasChecksum ? CHECKSUM : undefined)).toBe(expected)
})
