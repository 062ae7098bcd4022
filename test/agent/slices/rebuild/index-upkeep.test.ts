// The upkeep of the index: its filter, its rebuild after damage, and what waits for what.

import { describe, expect, test } from 'bun:test'
import { dirname } from 'node:path'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackHeader, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { openIndexUpkeep } from '../../../../agent/slices/rebuild/index-upkeep.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { damageBlocks } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const digestOf = (n: number): Uint8Array => Bun.SHA256.hash(new Uint8Array(100).fill(n)) as Uint8Array

/** One sealed pack with slices 1 to 3, which the index has on disk. Reads of packs fail while `isFailing`; the filter is worn from `isWorn` until it is built. */
async function openScene() {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const disk = createDisk()
  const { id, name } = index.addPack('a'.repeat(32))
  const path = folder.file(packPath(name))
  await disk.makeFolder(dirname(path))
  const rows = [1, 2, 3].map((n, i) => ({ digest: digestOf(n), offset: 16 + i * 164, length: 100, storedLength: 100 }))
  {
    await using file = await disk.openWrite(path, 'create')
    const parts = [1, 2, 3].flatMap((n) => {
      const bytes = new Uint8Array(100).fill(n)
      const header = Buffer.alloc(RECORD_HEADER_BYTES)
      writeRecordHeader(header, 0, { digest: digestOf(n), codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytes) })
      return [header, bytes]
    })
    await file.write([encodePackHeader(), ...parts], 0)
    index.sealPack(id, await writePackFooter(file, rows, 16 + 3 * 164))
  }
  index.add(id, rows)
  await index.flush()
  const state = { isFailing: false, isWorn: false }
  const failing: typeof disk = {
    ...disk,
    openRead: (opened) => (state.isFailing ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : disk.openRead(opened)),
  }
  const files = stack.use(new PackFiles(failing, folder.path))
  const clock = createManualClock()
  const log = createMemoryLog()
  const happened: string[] = []
  const quarantine: Pick<Quarantine, 'has'> = { has: () => false }
  const wearing = new Proxy(index, {
    get(target, key) {
      if (key === 'isFilterWorn') return state.isWorn
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const upkeep = stack.use(
    await openIndexUpkeep({
      clock,
      log,
      index: wearing,
      files,
      quarantine: quarantine as Quarantine,
      pause: async () => {},
      leaveOut: (left) => void happened.push(`left out ${left.slice(0, 2)}`),
      onFilter() {
        happened.push('filter')
        state.isWorn = false
      },
      onDamaged: (reason) => void happened.push(`damaged: ${reason}`),
      onRebuilt: (packs) => void happened.push(`rebuilt from ${packs}`),
    }),
  )
  const messages = (): string[] => log.lines.map(({ message }) => message)
  const own = stack.move()
  return { folder, index, upkeep, clock, happened, messages, state, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

describe('opening', () => {
  test('builds the filter before it resolves, and does not rebuild an intact index', async () => {
    await using scene = await openScene()
    expect(scene.happened).toEqual(['filter'])
    expect(scene.index.filter.mayHave(digestOf(1))).toBe(true)
    expect([scene.upkeep.progress, await scene.upkeep.rebuildIndex()]).toEqual([undefined, undefined])
    scene.clock.advance(600_000)
    expect(scene.happened).toEqual(['filter'])
  })
})

describe('the filter', () => {
  test('is built again when it is worn, within five seconds and once', async () => {
    await using scene = await openScene()
    const { clock, happened, state } = scene
    clock.advance(5000)
    await Bun.sleep(5)
    expect(happened).toEqual(['filter'])
    state.isWorn = true
    clock.advance(4999)
    await Bun.sleep(5)
    expect(happened).toEqual(['filter'])
    clock.advance(1)
    // The filter is worn until the new one is complete: the next look builds nothing.
    clock.advance(5000)
    await until('the filter is built', () => happened.length > 1)
    await Bun.sleep(20)
    expect(happened).toEqual(['filter', 'filter'])
  })
})

describe('a damaged index', () => {
  test('is reported and rebuilt in the background, once for all that notice it', async () => {
    await using scene = await openScene()
    damageBlocks(scene.folder.path)
    expect(scene.index.find(digestOf(1))).toBeUndefined()
    expect(scene.upkeep.progress).toEqual({ done: 0, total: 0 })
    const waiting = [scene.upkeep.rebuildIndex(), scene.upkeep.rebuildIndex()]
    await Promise.all(waiting)
    await until('the rebuild in the background', () => scene.happened.includes('rebuilt from 1'))
    expect(scene.happened.filter((what) => what !== 'filter')).toEqual(['damaged: block 0 of run 1 of the index is damaged', 'rebuilt from 1'])
    expect([1, 2, 3].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([16, 180, 344])
    expect(scene.upkeep.progress).toBeUndefined()
  })

  test('is not rebuilt during exclusive work, which may rebuild it itself', async () => {
    await using scene = await openScene()
    const held = Promise.withResolvers<void>()
    const order: string[] = []
    const work = scene.upkeep.runExclusive(async (rebuild) => {
      await held.promise
      order.push(...scene.happened.filter((what) => what !== 'filter'))
      await rebuild()
      order.push('work is over')
      return 'result'
    })
    damageBlocks(scene.folder.path)
    scene.index.find(digestOf(1))
    const other = scene.upkeep.runExclusive(async () => void order.push('next work'))
    await Bun.sleep(5)
    held.resolve()
    expect(await work).toBe('result')
    await other
    expect(order).toEqual(['damaged: block 0 of run 1 of the index is damaged', 'work is over', 'next work'])
    expect(scene.happened).toContain('rebuilt from 1')
  })

  test('whose pack cannot be read loses its slices, and the pack is left out', async () => {
    await using scene = await openScene()
    scene.state.isFailing = true
    damageBlocks(scene.folder.path)
    scene.index.find(digestOf(1))
    await scene.upkeep.rebuildIndex()
    expect(scene.happened.filter((what) => what !== 'filter').slice(1)).toEqual(['left out aa', 'rebuilt from 1'])
    expect([...scene.index.packs()]).toEqual([])
    expect(scene.messages()).toContain('a pack cannot be read and is left out')
  })

  test('that cannot be rebuilt is tried again after a minute', async () => {
    await using scene = await openScene()
    const disk = createDisk()
    // The new file cannot be created.
    await disk.makeFolder(scene.folder.file('index.db.next'))
    damageBlocks(scene.folder.path)
    scene.index.find(digestOf(1))
    await expect(scene.upkeep.rebuildIndex()).rejects.toThrow()
    await until('the failure is logged', () => scene.messages().includes('the index database could not be rebuilt; it will be retried'))
    await disk.removeTree(scene.folder.file('index.db.next'))
    scene.clock.advance(59_999)
    await Bun.sleep(5)
    expect(scene.happened).not.toContain('rebuilt from 1')
    scene.clock.advance(1)
    await until('the index is rebuilt', () => scene.happened.includes('rebuilt from 1'))
  })
})
