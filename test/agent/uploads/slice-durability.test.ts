// A body of slices is acknowledged when its slices are durable, also those that the store had already: another transfer may not have synced them.

import { expect, test } from 'bun:test'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { holdSyncs } from '../../support/memory/held-syncs.ts'
import { createMemorySlices } from '../../support/memory/memory-slices.ts'
import { until } from '../../support/until.ts'
import { BLOCK, body, bring, create, name, noise, offsetAt, patch } from './slice-bodies.ts'

test.each(['brings', 'names'])('a body that %s a slice is acknowledged only after its fsync', async (how) => {
  const memory = createMemorySlices()
  const slice = noise(16 * BLOCK, 1)
  const events: string[] = []
  const held = holdSyncs(memory, (event) => void events.push(event))
  const slices = { ingest: memory.ingest.bind(memory), missing: memory.missing, receive: () => held.receive() }
  await using server = await startUploadServer({ slices, crashPoint: (point) => void events.push(point) })
  if (how === 'names') {
    const first = patch(server, await create(server, slice.length), 0, body(bring(slice)))
    await until('the first fsync', () => held.waiting.length === 1)
    held.waiting.shift()?.()
    expect((await first).status).toBe(204)
  }
  const url = await create(server, 2 * slice.length)
  events.length = 0
  let isAnswered = false
  const answer = patch(server, url, 0, body(how === 'brings' ? bring(slice) : name(slice))).finally(() => (isAnswered = true))
  await until('an fsync is asked for', () => held.waiting.length === 1)
  await Bun.sleep(5)
  expect(isAnswered).toBe(false)
  expect(events).toEqual([])
  held.waiting.shift()?.()
  expect((await answer).status).toBe(204)
  expect(events.slice(0, 2)).toEqual(['synced', 'uploads:slices-synced'])
  expect(await offsetAt(server, url)).toBe(slice.length)
})
