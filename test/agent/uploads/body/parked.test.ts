// A body that falls silent holds nothing that others need: no slot, no ingest and no open file. The clock is moved by hand.

import { expect, test } from 'bun:test'
import { createDisk } from '../../../../agent/system/disk.ts'
import type { UploadBody } from '../../../../agent/uploads/append-body.ts'
import { startUploadServer, TOKENS } from '../../../support/agents/upload-server.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { until } from '../../../support/until.ts'
import { BLOCK, bring, noise } from '../slice-bodies.ts'

const actor = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }

test.each([
  ['slices', true],
  ['plain bytes', false],
])('a silent body of %s closes its journal after two seconds, and its bytes are durable', async (_what, isSlices) => {
  const clock = createManualClock()
  const real = createDisk()
  let open = 0
  const openWrite: typeof real.openWrite = async (path, mode) => {
    const file = await real.openWrite(path, mode)
    if (!path.endsWith('/journal')) return file
    open++
    return {
      ...file,
      async close() {
        open--
        await file.close()
      },
    }
  }
  await using server = await startUploadServer({ clock, disk: { ...real, openWrite } })
  const { id } = await server.uploads.create({ actor, length: 1_000_000, metadata: undefined, concatHeader: undefined, concat: undefined })
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const stream = new ReadableStream<Uint8Array>({ start: (made) => void (controller = made) })
  const body: UploadBody = { stream, length: undefined, declaredLength: undefined, checksum: undefined, isSlices }
  const appending = server.uploads.append(id, { actor, offset: 0, body })
  const slice = noise(32 * BLOCK, 1)
  controller.enqueue(isSlices ? bring(slice) : slice)
  await until('the bytes are taken', () => server.slices.open === 1 || server.slices.pinned().size === 1)
  await until('the bytes are durable and the journal is closed', async () => {
    clock.advance(250)
    return open === 0 && (await server.uploads.peek(id, actor)).offset === 131_072
  })
  expect([server.slices.open, server.slices.pinned().size, server.uploads.stats().receiving]).toEqual([0, 0, 1])
  const ended = appending.catch((error: { code: string }) => error.code)
  await server.uploads.stop()
  expect(await ended).toBe('shutting-down')
})
