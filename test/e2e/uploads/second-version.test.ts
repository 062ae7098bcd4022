// Nothing is copied or stored twice: the bytes that the second version of an image adds on disk, and the bytes that its sync to a second
// store sends, also when the connection is cut.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import type { Image } from '../../../protocol/images/image.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { SyncResult } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { CuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { digestOfFile, hasImageTools, makeSmallImage, requireImageTools, run, updateInPlace } from '../../support/images/small-image.ts'
import type { SmallImage } from '../../support/images/small-image.ts'
import { createRandom } from '../../support/properties.ts'
import { bytesBelow } from '../../support/machine/folder-stats.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const imageTest = requireImageTools()

const portOf = (agent: AgentProcess): number => Number(new URL(agent.url).port)

/** Returns the length of all packs of a store. */
function packBytes(agent: AgentProcess): number {
  return bytesBelow(`${agent.folder}/store/packs`)
}

async function ended(agent: AgentProcess, { id }: Task): Promise<Task> {
  return until(`task ${id} has ended`, async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}

describe('the second version of an image, updated in place', () => {
  let folder: TemporaryFolder
  let source: AgentProcess
  let target: AgentProcess
  let link: CuttingProxy
  let firstFile: SmallImage
  let secondFile: SmallImage
  let first: Image
  let second: Image
  let firstWireBytes = 0

  const upload = async (file: string, name: string): Promise<Image> => {
    await using sending = startTusUpload({ url: source.url, file, metadata: { name } })
    const id = (await sending.image()).split('/').at(-1) ?? ''
    return until('the image is available', async () => {
      const image = await source.client.images.get(id)
      return image.status === 'available' ? image : undefined
    })
  }
  const startSync = (id: string): Promise<Task> => target.client.sync({ source: { url: link.url, token: TEST_ADMIN_TOKEN }, images: [id] })
  const sync = async (id: string): Promise<SyncResult> => {
    const task = await ended(target, await startSync(id))
    expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
    return syncResultSchema.parse(task.result)
  }
  const expectSame = async (id: string, file: string): Promise<void> => {
    const copy = folder.file('copy.qcow2')
    await run('curl', '-sS', '-o', copy, '-H', `Authorization: Bearer ${TEST_ADMIN_TOKEN}`, `${target.url}/v1/images/${id}/content`)
    expect(await digestOfFile(copy)).toBe(await digestOfFile(file))
  }

  beforeAll(async () => {
    if (!hasImageTools()) return
    folder = await createTemporaryFolder()
    source = await startAgent(folder.file('source'))
    target = await startAgent(folder.file('target'))
    link = await createCuttingProxy(portOf(source))
    firstFile = await makeSmallImage(folder.file('images'))
    secondFile = await updateInPlace(firstFile, folder.file('images'))
  }, 180_000)
  afterAll(async () => {
    for (const one of [link, source, target, folder]) await one?.[Symbol.asyncDispose]()
  })

  imageTest(
    'adds less than a quarter of the stored bytes of the first',
    async () => {
      first = await upload(firstFile.qcow2, 'debian 1')
      const firstBytes = packBytes(source)
      second = await upload(secondFile.qcow2, 'debian 2')
      const addedBytes = packBytes(source) - firstBytes
      console.error(`on disk: the first version ${firstBytes} bytes, the second adds ${addedBytes} (${((100 * addedBytes) / firstBytes).toFixed(1)} %)`)
      expect(addedBytes).toBeGreaterThan(MIB)
      expect(addedBytes).toBeLessThan(firstBytes / 4)
      // The figures of the store match the disk, except for the headers of a pack.
      const { slices } = await source.client.store.get()
      expect(Math.abs(slices.storedBytes - packBytes(source))).toBeLessThan(packBytes(source) / 100)
      expect(Math.abs((first.storedSize ?? 0) - firstBytes)).toBeLessThan(firstBytes / 100)
    },
    180_000,
  )

  imageTest(
    'is copied to another store by sending only the slices that are missing there',
    async () => {
      const result = await sync(first.id)
      expect(result.images).toMatchObject([{ id: first.id, name: 'debian 1', outcome: 'copied' }])
      expect(result.slicesPresent).toBe(0)
      firstWireBytes = link.bytes.down
      expect(firstWireBytes).toBeLessThan((first.storedSize ?? 0) * 1.05)
      await expectSame(first.id, firstFile.qcow2)

      const beforeBytes = link.bytes.up + link.bytes.down
      const next = await sync('debian 2')
      const wireBytes = link.bytes.up + link.bytes.down - beforeBytes
      console.error(`on the wire: the first version ${firstWireBytes} bytes, the second ${wireBytes} (${((100 * wireBytes) / firstWireBytes).toFixed(1)} %)`)
      expect(wireBytes).toBeLessThan((first.storedSize ?? 0) / 4)
      expect(next.slicesPresent).toBeGreaterThan(0)
      await expectSame(second.id, secondFile.qcow2)
      expect(await target.client.images.get(second.id)).toMatchObject({ status: 'available', format: 'qcow2', manifestDigest: second.manifestDigest })
      expect(Math.abs(packBytes(target) - packBytes(source))).toBeLessThan(packBytes(source) / 100)
    },
    180_000,
  )

  imageTest(
    'sends no slice if the other store already has it',
    async () => {
      const before = link.bytes.down
      expect((await sync(second.id)).images).toMatchObject([{ id: second.id, name: 'debian 2', outcome: 'already-there' }])
      expect(link.bytes.down - before).toBeLessThan(64 * 1024)
    },
    180_000,
  )

  imageTest(
    'can be synced as soon as the upload has ended, before the source has inspected it',
    async () => {
      await using sending = startTusUpload({ url: source.url, file: secondFile.raw, metadata: { name: 'just here' } })
      const id = (await sending.image()).split('/').at(-1) ?? ''
      expect((await sync(id)).images).toMatchObject([{ id, name: 'just here', outcome: 'copied' }])
    },
    180_000,
  )

  imageTest(
    'sends only the slices that are still missing after target and link broke in the middle',
    async () => {
      await using third = await startAgent(folder.file('third'))
      // Much longer than the bytes in flight at any moment.
      const file = folder.file('noise.raw')
      await Bun.write(file, createRandom(9).bytes(96 * MIB))
      const long = await upload(file, 'long')
      const wholeBytes = long.storedSize ?? 0
      const order = { source: { url: link.url, token: TEST_ADMIN_TOKEN }, images: [long.id] }
      const before = link.bytes.down
      link.setFaults({ bytesPerSecond: 60 * MIB })
      const { id } = await third.client.sync(order)
      await until('half of it is copied', () => link.bytes.down - before > wholeBytes / 2)
      // An incomplete image is never listed.
      expect((await third.client.images.list()).items).toEqual([])
      await third.kill()
      link.cutAll()
      const movedBytes = link.bytes.down - before
      link.setFaults({ cutAfter: 11 * MIB, direction: 'down' }, 3)
      await third.restart()
      // The task resumes by itself; a repeated order returns the same task.
      const again = await third.client.sync(order)
      expect(again.id).toBe(id)
      const task = await ended(third, again)
      expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
      const result = syncResultSchema.parse(task.result)
      expect(result.slicesPresent).toBeGreaterThan(0)
      const restBytes = link.bytes.down - before - movedBytes
      console.error(`after a kill at ${movedBytes} of ${wholeBytes} bytes: ${restBytes} more were copied`)
      // Bytes in flight are sent twice: the batches of both lanes at the kill, and one batch for each of three cuts.
      expect(movedBytes + restBytes).toBeLessThan(wholeBytes * 1.35)
      expect((await third.client.images.get(long.id)).manifestDigest).toBe(long.manifestDigest)
    },
    180_000,
  )

  imageTest(
    'is refused with a sentence when the token of the source is wrong, its role is too low, or the source is not reachable',
    async () => {
      const failed = async (url: string, token: string): Promise<Task['error']> => {
        const task = await ended(target, await target.client.sync({ source: { url, token }, images: [first.id] }))
        expect(task.state).toBe('failed')
        return task.error
      }
      const wrong = await failed(link.url, 'not-a-token-of-this-store')
      expect(wrong).toMatchObject({ type: 'urn:slipway:problem:peer-refused' })
      expect(wrong?.action).toMatch(/token/i)
      const gone = await failed('http://127.0.0.1:9', TEST_ADMIN_TOKEN)
      expect(gone).toMatchObject({ type: 'urn:slipway:problem:peer-unreachable' })
      expect(gone?.detail).toContain('127.0.0.1:9')
      const { token } = await source.client.tokens.create({ name: 'reader', role: 'viewer' })
      const { id } = await target.client.sync({ source: { url: link.url, token }, images: [first.id] })
      expect((await ended(target, { id } as Task)).state).toBe('succeeded')
    },
    180_000,
  )
})
