// Packs that could not be read: they are tried again together, and what was found stays.

import { expect, test } from 'bun:test'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { encodePackHeader, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createLeftOut } from '../../../../agent/slices/rebuild/left-out.ts'
import { recoverIndex } from '../../../../agent/slices/rebuild/recover.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const NAMES = ['1'.repeat(32), '2'.repeat(32)] as const
const digestOf = (n: number): Uint8Array => Bun.SHA256.hash(new Uint8Array(100).fill(n)) as Uint8Array

/** Two unsealed packs with one slice each. Reads of a pack fail while its name is in `failing`; nothing can be written while `isFull`. */
async function openScene() {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const real = createDisk()
  for (const [i, name] of NAMES.entries()) {
    const path = folder.file(packPath(name))
    mkdirSync(dirname(path), { recursive: true })
    const bytes = new Uint8Array(100).fill(i)
    const header = Buffer.alloc(RECORD_HEADER_BYTES)
    writeRecordHeader(header, 0, { digest: digestOf(i), codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytes) })
    await Bun.write(path, Buffer.concat([encodePackHeader(), header, bytes]))
  }
  const state = { failing: new Set<string>(NAMES), notClosing: new Set<string>(), isFull: false, opened: 0 }
  const disk: Disk = {
    ...real,
    async openWrite(path, mode) {
      state.opened++
      if ([...state.failing].some((name) => path.includes(name))) throw Object.assign(new Error('EIO'), { code: 'EIO' })
      const file = await real.openWrite(path, mode)
      if ([...state.notClosing].some((name) => path.includes(name))) {
        const close = async (): Promise<void> => {
          await file.close()
          throw Object.assign(new Error('EIO'), { code: 'EIO' })
        }
        return { ...file, close, [Symbol.asyncDispose]: close }
      }
      return { ...file, write: (parts, at) => (state.isFull ? Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })) : file.write(parts, at)) }
    },
  }
  const quarantine: Pick<Quarantine, 'has' | 'all'> = { has: () => false, all: () => [] }
  const abandoned: string[] = []
  const left = createLeftOut(
    { disk, log: createMemoryLog(), folder: folder.path, index, quarantine: quarantine as Quarantine, sealBytes: 1000 },
    NAMES,
    (pack) => void abandoned.push(pack.name),
  )
  const own = stack.move()
  const recover = () => recoverIndex({ disk, log: createMemoryLog(), folder: folder.path, index, quarantine: quarantine as Quarantine, sealBytes: 1000 })
  return { folder, index, left, recover, state, abandoned, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

test('packs that can be read again are sealed, the others are tried the next time', async () => {
  await using scene = await openScene()
  const { left, state, index } = scene
  await left.retry()
  expect(state.opened).toBe(2)
  state.failing.delete(NAMES[0])
  await left.retry()
  expect([index.find(digestOf(0))?.offset, index.find(digestOf(1))]).toEqual([16, undefined])
  expect([...index.packs()].map(({ name, sealed }) => [name, sealed])).toEqual([[NAMES[0], true]])
  state.failing.clear()
  state.opened = 0
  await left.retry()
  // To read it, and to seal it. The first pack is not touched again.
  expect([state.opened, index.find(digestOf(1))?.offset]).toEqual([2, 16])
  state.opened = 0
  await left.retry()
  expect([state.opened, scene.abandoned]).toEqual([0, []])
})

test('attempts that overlap are one, and a pack that is added meanwhile waits for the next', async () => {
  await using scene = await openScene()
  const { left, state } = scene
  rmSync(scene.folder.file(packPath(NAMES[1])))
  const attempts = [left.retry(), left.retry()]
  await Promise.all(attempts)
  expect(state.opened).toBe(1)
  state.failing.clear()
  await left.retry()
  left.add(NAMES[0])
  state.opened = 0
  await left.retry()
  expect(state.opened).toBeGreaterThan(0)
})

test('a pack that is read but cannot be sealed is handed over', async () => {
  await using scene = await openScene()
  scene.state.failing = new Set([NAMES[1]])
  scene.state.isFull = true
  await scene.left.retry()
  expect([scene.abandoned, scene.index.find(digestOf(0))?.offset]).toEqual([[NAMES[0]], 16])
})

test('a pack that is gone is not tried any more', async () => {
  await using scene = await openScene()
  for (const name of NAMES) renameSync(scene.folder.file(packPath(name)), scene.folder.file(name))
  await scene.left.retry()
  scene.state.failing.clear()
  for (const name of NAMES) renameSync(scene.folder.file(name), scene.folder.file(packPath(name)))
  await scene.left.retry()
  expect(scene.state.opened).toBe(0)
})

test('a pack whose file cannot be closed is left out, and not resumed as well: it would be sealed while the writer appends to it', async () => {
  await using scene = await openScene()
  scene.state.failing.clear()
  scene.state.notClosing.add(NAMES[0])
  const { unsealed, abandoned, leftOut } = await scene.recover()
  expect([unsealed?.name, abandoned.map(({ name }) => name), [...leftOut]]).toEqual([NAMES[1], [], [NAMES[0]]])
  scene.state.notClosing.add(NAMES[1])
  const none = await scene.recover()
  expect([none.unsealed, none.abandoned, [...none.leftOut].toSorted()]).toEqual([undefined, [], [...NAMES]])
})
