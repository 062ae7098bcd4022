// Pull-through as a task, and the content of an image of an origin in another format.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { addImage, contentOf, startHubAndEdge, untilEnded } from '../../support/agents/hub-and-edge.ts'
import type { HubAndEdge } from '../../support/agents/hub-and-edge.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import type { Task } from '../../../protocol/task.ts'

setDefaultTimeout(90_000)

// Multiples of the blocks in which slices are cut.
const LENGTH = 12 * 1024 * 1024
const ZEROS = 4 * 1024 * 1024
const BYTES = Buffer.concat([seededBytes(LENGTH - ZEROS, 11), Buffer.alloc(ZEROS)])

/** Reads one byte of an image over a slow line, and returns the task that copies the rest. */
async function beginCopy({ edge, line }: HubAndEdge, id: string): Promise<Task> {
  line.setFaults({ bytesPerSecond: 1_000_000 })
  expect(await contentOf(edge, id, { range: 'bytes=0-0' })).toEqual(BYTES.subarray(0, 1))
  return until('the copy is in progress', async () => {
    const task = (await edge.client.tasks.list({ kind: 'pull-through' })).items[0]
    return task?.state === 'running' && task.progress.done > 0 ? task : undefined
  })
}

test('a copy for a reader is a task with progress, rate and bytes avoided', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  const task = await beginCopy(pair, id)
  expect(task).toMatchObject({ kind: 'pull-through', subject: id, createdBy: 'pull-through', progress: { unit: 'bytes', total: LENGTH - ZEROS } })
  const moving = await until('it has a rate', async () => {
    const { progress } = await pair.edge.client.tasks.get(task.id)
    return progress.rate > 0 && progress.etaSeconds !== null ? progress : undefined
  })
  // The first rate may come with the last bytes.
  expect(moving.done).toBeLessThanOrEqual(LENGTH - ZEROS)
  const ended = await untilEnded(pair.edge, task.id)
  expect(ended).toMatchObject({
    state: 'succeeded',
    progress: { done: LENGTH - ZEROS },
    result: { outcome: 'copied', image: { id, name: 'debian' }, origin: 'hub', bytesAvoided: ZEROS },
  })
  expect(Number(ended.result?.['bytesMoved'])).toBeGreaterThan(LENGTH - ZEROS)
  expect((await pair.edge.client.images.get(id)).id).toBe(id)
  const content = await contentOf(pair.edge, id)
  expect(Buffer.isBuffer(content) && content.equals(BYTES)).toBe(true)
})

test('a copy that is cancelled ends, and goes on with the next read', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  const task = await beginCopy(pair, id)
  await pair.edge.client.tasks.cancel(task.id)
  const ended = await untilEnded(pair.edge, task.id)
  expect(ended).toMatchObject({ state: 'cancelled', result: { image: { id } } })
  expect((await pair.edge.client.images.list()).items).toEqual([])
  pair.line.setFaults({})
  const content = await contentOf(pair.edge, id)
  expect(Buffer.isBuffer(content) && content.equals(BYTES)).toBe(true)
  await until('the image is kept', async () => (await pair.edge.client.images.list({ status: 'available' })).items.length === 1)
})

test.each([['a kill'], ['a stop']])('a copy goes on by itself after %s of the agent, without a reader', async (how) => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  const task = await beginCopy(pair, id)
  if (how === 'a kill') await pair.edge.kill()
  else await pair.edge.stop()
  pair.line.setFaults({})
  await pair.edge.restart({ config: pair.config })
  expect(await untilEnded(pair.edge, task.id)).toMatchObject({ state: 'succeeded', result: { outcome: 'copied' } })
  await until('the image is available', async () => (await pair.edge.client.images.get(id)).status === 'available')
  await pair.hub.stop()
  const content = await contentOf(pair.edge, id)
  expect(Buffer.isBuffer(content) && content.equals(BYTES)).toBe(true)
})

test('a copy waits for its origin after a restart', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  const task = await beginCopy(pair, id)
  await pair.edge.kill()
  await pair.hub.stop()
  await pair.edge.restart({ config: pair.config })
  const waiting = await until('it waits', async () => {
    const found = await pair.edge.client.tasks.get(task.id)
    return found.continuesAt === undefined ? undefined : found
  })
  expect(waiting).toMatchObject({ state: 'queued', detail: expect.stringContaining('It is tried again in a minute.') })
  await pair.edge.client.tasks.cancel(task.id)
  expect(await untilEnded(pair.edge, task.id)).toMatchObject({ state: 'cancelled' })
})

requireTool('qemu-img', 'qemu-utils')('an image that only the origin has is converted while it is fetched, and kept', async () => {
  await using folder = await createTemporaryFolder()
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  const url = `${pair.edge.url}/v1/images/${id}/content?as=qcow2`
  const head = await fetch(url, { method: 'HEAD', headers: pair.edge.headers() })
  expect([head.status, head.headers.get('content-length')]).toEqual([200, null])
  expect((await pair.edge.client.tasks.list({ kind: 'pull-through' })).items).toEqual([])

  const answer = await fetch(url, { headers: pair.edge.headers() })
  expect([answer.status, answer.headers.get('etag')]).toEqual([200, head.headers.get('etag')])
  await Bun.write(folder.file('disk.qcow2'), await answer.arrayBuffer())
  await Bun.write(folder.file('disk.raw'), BYTES)
  const compared = Bun.spawnSync(['qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', folder.file('disk.qcow2'), folder.file('disk.raw')])
  expect(compared.stdout.toString()).toContain('Images are identical.')
  await until('the image is kept', async () => (await pair.edge.client.images.list({ status: 'available' })).items.length === 1)
  expect((await fetch(`${pair.edge.url}/v1/images/img_${'0'.repeat(26)}/content?as=raw`, { headers: pair.edge.headers() })).status).toBe(404)
})
