// One gc over packs whose every byte is known: what it does before it removes anything, which packs it takes, and what it leaves when
// something fails.

import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Disk } from '../../../../agent/contract/disk.ts'
import type { GcReport } from '../../../../agent/contract/slices.ts'
import { collectGarbage } from '../../../../agent/slices/gc/gc.ts'
import type { GcDeps, GcOptions } from '../../../../agent/slices/gc/gc.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackHeader, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import type { PackEntry } from '../../../../agent/slices/packs/slice-row.ts'
import { createIndexRebuilder } from '../../../../agent/slices/rebuild/index-rebuild.ts'
import { openQuarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { PackWriter } from '../../../../agent/slices/write/pack-writer.ts'
import { createPins } from '../../../../agent/slices/write/pins.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { runPaths } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const MIB = 1024 * 1024
/** Header of a record and its bytes. */
const RECORD = 164

const bytesOf = (n: number): Buffer => Buffer.alloc(100, `slice ${n} `)
const digestOf = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytesOf(n)) as Uint8Array)
const rowsOf = (slices: readonly number[], offset: number): PackRow[] =>
  slices.map((n, i) => ({ digest: digestOf(n), offset: offset + i * RECORD, length: 100, storedLength: 100 }))
const recordsOf = (slices: readonly number[]): Buffer =>
  Buffer.concat(
    slices.flatMap((n) => {
      const header = Buffer.alloc(64)
      writeRecordHeader(header, 0, { digest: digestOf(n), codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytesOf(n)) })
      return [header, bytesOf(n)]
    }),
  )

interface Hooks {
  freeBytes: number
  /** Slices that a root names. */
  named: readonly number[]
  openRead?: (path: string) => void
  openWrite?: (path: string) => void
  sync?: () => void
  crashPoint?: (point: string) => void
  pause?: () => void
  remove?: () => void
  stat?: () => void
}

async function openScene(overrides: Partial<GcDeps> = {}) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const hooks: Hooks = { freeBytes: 1e9, named: [] }
  const real = createDisk()
  const disk: Disk = {
    ...real,
    space: async (path) => ({ ...(await real.space(path)), freeBytes: hooks.freeBytes }),
    async remove(path) {
      hooks.remove?.()
      await real.remove(path)
    },
    async stat(path) {
      hooks.stat?.()
      return await real.stat(path)
    },
    async openRead(path) {
      hooks.openRead?.(path)
      return await real.openRead(path)
    },
    async openWrite(path, mode) {
      hooks.openWrite?.(path)
      const file = await real.openWrite(path, mode)
      return {
        ...file,
        async sync() {
          hooks.sync?.()
          await file.sync()
        },
      }
    },
  }
  const log = createMemoryLog()
  const pins = createPins()
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const files = stack.use(new PackFiles(disk, folder.path))
  const quarantine = await openQuarantine({ disk, clock: systemClock, log, folder: folder.file('quarantine'), index })
  const crashPoint = (point: string): void => hooks.crashPoint?.(point)
  let names = 1000
  const newName = (): string => String(++names).padStart(32, '0')
  const writer = stack.use(new PackWriter({ disk, log, index, folder: folder.path, crashPoint, newName, sealBytes: 64 * MIB }))
  const pause = async (): Promise<void> => hooks.pause?.()
  const rebuilder = createIndexRebuilder({
    ...{ log, index, files, quarantine, pause },
    buildFilter: async () => {},
    leaveOut: () => {},
    onDamaged: () => {},
    onRebuilt: () => {},
    signal: new AbortController().signal,
  })
  const deps: GcDeps = {
    ...{ disk, log, index, files, quarantine, writer, pause, crashPoint },
    folder: folder.path,
    pins,
    sealBytes: 64 * MIB,
    roots: [{ list: () => [{ name: 'image', entries: () => hooks.named.map((n) => ({ length: 100, digest: digestOf(n) })) }] }],
    retryLeftOut: async () => {},
    rebuildIndex: () => rebuilder.rebuild(),
    ...overrides,
  }
  const own = stack.move()
  const pathOf = ({ name }: PackEntry): string => folder.file(packPath(name))
  return {
    hooks,
    index,
    writer,
    deps,
    log,
    folder,
    /** Writes a sealed pack with these slices, of which the index has those in `indexed`. */
    async addSealed(slices: readonly number[], indexed = slices): Promise<PackEntry> {
      const entry = index.addPack(String(++names).padStart(32, '0'))
      await real.makeFolder(dirname(pathOf(entry)))
      await using file = await real.openWrite(pathOf(entry), 'create')
      await file.write([encodePackHeader(), recordsOf(slices)], 0)
      const rows = rowsOf(slices, 16)
      const length = await writePackFooter(file, rows, 16 + rows.length * RECORD)
      index.add(
        entry.id,
        rows.filter((_, i) => indexed.includes(slices[i] ?? 0)),
      )
      index.sealPack(entry.id, length)
      await index.flush()
      return entry
    },
    /** Writes a sealed pack of live records of these lengths, header and all; the index has it for longer than it is. */
    async addLong(lengths: readonly number[]): Promise<PackEntry> {
      const entry = index.addPack(String(++names).padStart(32, '0'))
      await real.makeFolder(dirname(pathOf(entry)))
      await using file = await real.openWrite(pathOf(entry), 'create')
      const rows: PackRow[] = []
      let end = 16
      await file.write([encodePackHeader()], 0)
      for (const [n, length] of lengths.entries()) {
        const bytes = Buffer.alloc(length - 64, `long slice ${n} `)
        const header = Buffer.alloc(64)
        const digest = new Uint8Array(Bun.SHA256.hash(bytes) as Uint8Array)
        writeRecordHeader(header, 0, { digest, codec: 0, length: bytes.length, storedLength: bytes.length, checksum: checksumOf(bytes) })
        await file.write([header, bytes], end)
        rows.push({ digest, offset: end, length: bytes.length, storedLength: bytes.length })
        end += length
      }
      await writePackFooter(file, rows, end)
      index.add(entry.id, rows)
      index.sealPack(entry.id, 40 * MIB)
      await index.flush()
      const hold = pins.hold()
      for (const { digest } of rows) hold.add(digest)
      return entry
    },
    /** Writes a pack that is neither sealed nor open, as after a start. */
    async addUnsealed(slices: readonly number[]): Promise<PackEntry> {
      const entry = index.addPack(String(++names).padStart(32, '0'))
      await real.makeFolder(dirname(pathOf(entry)))
      await Bun.write(pathOf(entry), Buffer.concat([encodePackHeader(), recordsOf(slices)]))
      index.add(entry.id, rowsOf(slices, 16))
      return entry
    },
    append: (slices: readonly number[]) => writer.append([recordsOf(slices)], rowsOf(slices, 0)),
    has: (pack: PackEntry): boolean => existsSync(pathOf(pack)),
    pathOf,
    collect: (options: Partial<GcOptions> = {}): Promise<GcReport> => collectGarbage(deps, { dryRun: false, ...options }),
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)
/** Ten slices, of which a root names the first: the length of their pack is 16 + 10 × 164 + 10 × 48 + 32. */
const MOSTLY_DEAD = numbers(1, 10)
const MOSTLY_DEAD_LENGTH = 2168

describe('before it lists a root', () => {
  test('a gc rebuilds the index and reads packs that were left out', async () => {
    const steps: string[] = []
    const slowly = (name: string) => async (): Promise<void> => {
      steps.push(`${name} starts`)
      await new Promise((resolve) => void setImmediate(resolve))
      steps.push(`${name} ends`)
    }
    const roots = [{ list: () => (steps.push('lists'), []) }]
    await using scene = await openScene({ rebuildIndex: slowly('rebuild'), retryLeftOut: slowly('retry'), roots })
    await scene.collect()
    expect(steps).toEqual(['rebuild starts', 'rebuild ends', 'retry starts', 'retry ends', 'lists'])
  })

  test('it seals packs that could not be written any more, whose footers count against what it frees', async () => {
    await using scene = await openScene()
    scene.hooks.named = [1, 2]
    await scene.append([1, 2])
    await scene.writer.retire()
    expect(await scene.collect({ dryRun: true })).toMatchObject({ freedBytes: 0 })
    expect([...scene.index.packs()].map(({ sealed }) => sealed)).toEqual([false])
    expect(await scene.collect()).toMatchObject({ freedBytes: -128, packsRemoved: 0, packsRewritten: 0 })
    expect([...scene.index.packs()].map(({ sealed, length }) => [sealed, length])).toEqual([[true, 16 + 2 * RECORD + 128]])
  })
})

describe('an index that turns out to be damaged', () => {
  /** Changes a byte of the rows on disk. */
  function damageRuns(folder: string): void {
    const [path = ''] = runPaths(folder)
    const bytes = readFileSync(path)
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    writeFileSync(path, bytes, { flag: 'r+' })
  }

  test('is rebuilt, and everything is examined again', async () => {
    await using scene = await openScene()
    const pack = await scene.addSealed(MOSTLY_DEAD)
    scene.hooks.named = numbers(1, 8)
    damageRuns(scene.folder.path)
    expect(await scene.collect()).toMatchObject({ slicesLive: 8, slicesDead: 2, packsRewritten: 0 })
    expect([scene.index.damage, scene.index.sliceCount, scene.has(pack)]).toEqual([undefined, 8, true])
  })

  test('is not used for removals if it cannot be rebuilt', async () => {
    await using scene = await openScene({ rebuildIndex: async () => {} })
    const pack = await scene.addSealed(MOSTLY_DEAD)
    damageRuns(scene.folder.path)
    await expect(scene.collect()).rejects.toThrow('the index database was damaged again during gc')
    expect(scene.has(pack)).toBe(true)
  })

  test('is not what another error of the sweep means', async () => {
    await using scene = await openScene()
    await scene.addSealed(MOSTLY_DEAD)
    scene.hooks.pause = () => {
      throw new Error('the pause was interrupted')
    }
    await expect(scene.collect()).rejects.toThrow('the pause was interrupted')
    expect(scene.index.damage).toBeUndefined()
  })

  test('while packs are removed ends the removals', async () => {
    await using scene = await openScene()
    const packs = [await scene.addSealed([20]), await scene.addSealed(MOSTLY_DEAD)]
    scene.hooks.named = [1]
    scene.hooks.crashPoint = (point) => {
      if (point === 'gc:removed') scene.index.distrust('for the test')
    }
    // Nothing of the second pack is moved: only the first one, 16 + 164 + 48 + 32 bytes, makes the difference.
    expect(await scene.collect()).toMatchObject({ packsRemoved: 1, packsRewritten: 0, freedBytes: 260 })
    expect(packs.map(scene.has)).toEqual([false, true])
  })
})

describe('a slice that a root names', () => {
  test('and that the index has lost is found in a pack, even a single one', async () => {
    await using scene = await openScene()
    const pack = await scene.addSealed(MOSTLY_DEAD, numbers(2, 9))
    scene.hooks.named = MOSTLY_DEAD
    // The slice comes back, and the index is rebuilt.
    expect(await scene.collect()).toMatchObject({ slicesLive: 10, slicesDead: 0 })
    expect([scene.index.find(digestOf(1))?.offset, scene.has(pack)]).toEqual([16, true])
  })

  test.each(['named', 'pinned'])('keeps every pack that has it when the index does not find it: %s', async (how) => {
    await using scene = await openScene()
    const indexed = await scene.addSealed([1])
    const copy = await scene.addSealed([1, 2], [2])
    if (how === 'named') scene.hooks.named = [1]
    else scene.deps.pins.hold().add(digestOf(1))
    scene.hooks.crashPoint = (point) => {
      if (point === 'gc:swept') scene.index.removeAll([{ digest: digestOf(1), pack: indexed.id, offset: 16 }])
    }
    expect(await scene.collect()).toMatchObject({ packsRemoved: 0, slicesLive: 1, slicesDead: 1 })
    expect([indexed, copy].map(scene.has)).toEqual([true, true])
  })
})

describe('room', () => {
  test('for moving slices is made when there is none, and the plan is made again', async () => {
    const made: number[] = []
    await using scene = await openScene({
      async makeRoom() {
        await new Promise((resolve) => void setImmediate(resolve))
        made.push(scene.hooks.freeBytes)
        scene.hooks.freeBytes = 1e9
      },
    })
    await scene.addSealed(MOSTLY_DEAD)
    scene.hooks.named = [1]
    scene.hooks.freeBytes = RECORD + 15
    expect(await scene.collect({ dryRun: true })).toMatchObject({ packsRewritten: 0 })
    expect(made).toEqual([])
    expect(await scene.collect()).toMatchObject({ packsRewritten: 1, freedBytes: MOSTLY_DEAD_LENGTH - RECORD - 16 })
    expect(made).toEqual([RECORD + 15])
  })

  test('is not made while there is enough', async () => {
    let made = 0
    await using scene = await openScene({ makeRoom: async () => void made++ })
    await scene.addSealed(MOSTLY_DEAD)
    scene.hooks.named = [1]
    scene.hooks.freeBytes = RECORD + 16
    expect(await scene.collect()).toMatchObject({ packsRewritten: 1 })
    expect(made).toBe(0)
  })
})

describe('a pack that is not sealed', () => {
  test.each([
    ['half dead stays', [1, 2], [1], 0, 0],
    ['mostly dead is rewritten', [1, 2, 3], [1], 1, 2 * RECORD],
    ['entirely dead is removed', [1, 2], [], 1, 2 * RECORD + 16],
  ])('and open: one that is %s', async (_what, slices, named, packs, freedBytes) => {
    await using scene = await openScene()
    await scene.append(slices)
    scene.hooks.named = named
    const { packsRemoved, packsRewritten, ...report } = await scene.collect()
    expect([packsRemoved + packsRewritten, report.freedBytes]).toEqual([packs, freedBytes])
    expect(scene.index.sliceCount).toBe(named.length)
  })

  test('and that no root needs is removed with its file', async () => {
    await using scene = await openScene()
    const pack = await scene.addUnsealed([1, 2])
    expect(await scene.collect()).toMatchObject({ packsRemoved: 1, freedBytes: 16 + 2 * RECORD })
    expect(scene.has(pack)).toBe(false)
  })

  test('and has no file is left alone', async () => {
    await using scene = await openScene()
    const entry = scene.index.addPack('f'.repeat(32))
    expect(await scene.collect({ dryRun: true })).toMatchObject({ packsRemoved: 0, freedBytes: 0 })
    expect(await scene.collect()).toMatchObject({ packsRemoved: 0, freedBytes: 0 })
    expect(scene.index.pack(entry.id)).toBeDefined()
  })

  test('and cannot be synced stays', async () => {
    await using scene = await openScene()
    await scene.append([1, 2, 3])
    scene.hooks.sync = () => {
      throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
    }
    expect(await scene.collect()).toMatchObject({ packsRemoved: 0, packsRewritten: 0, freedBytes: 0 })
  })
})

test('a sealed pack of which the index has no row is removed', async () => {
  await using scene = await openScene()
  const pack = await scene.addSealed([1], [])
  expect(await scene.collect()).toMatchObject({ packsRemoved: 1, freedBytes: 260 })
  expect(scene.has(pack)).toBe(false)
})

test('the file of a pack is removed and closed after the index says durably that the pack is gone', async () => {
  await using scene = await openScene()
  const pack = await scene.addSealed([1])
  const steps: string[] = []
  const { index } = scene
  const [flush, makeDurable] = [index.flush.bind(index), index.makeDurable.bind(index)]
  index.flush = async () => {
    await flush()
    await new Promise((resolve) => void setImmediate(resolve))
    steps.push('written')
  }
  index.makeDurable = () => {
    makeDurable()
    steps.push('durable')
  }
  scene.hooks.remove = () => steps.push(`removed, ${index.pack(pack.id) ? 'known' : 'forgotten'}`)
  await scene.collect()
  expect(steps.slice(-3)).toEqual(['written', 'durable', 'removed, forgotten'])
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(scene.pathOf(pack))
      } catch {
        return false
      }
    })
  await until('the file is closed', () => !isOpen())
})

test('a pack of which nobody can say whether its file is gone is tried again by the next gc', async () => {
  await using scene = await openScene()
  const pack = await scene.addSealed([1])
  const fail = (): never => {
    throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
  }
  scene.hooks.remove = fail
  scene.hooks.stat = fail
  expect(await scene.collect()).toMatchObject({ packsRemoved: 0 })
  expect([...scene.index.packs()].map(({ name }) => name)).toEqual([pack.name])
})

// Records with their headers: three of 4 MiB, of which two are moved with one fsync.
test.each([
  ['8 MiB are moved at a time', [4 * MIB, 4 * MIB, 200], 2],
  ['a byte less waits for the next record', [4 * MIB, 4 * MIB - 1, 200], 1],
])('%s', async (_what, lengths, moves) => {
  await using scene = await openScene()
  await scene.append([1])
  await scene.writer.sync()
  await scene.addLong(lengths)
  let syncs = 0
  let pauses = 0
  scene.hooks.named = [1]
  scene.hooks.crashPoint = (point) => {
    if (point === 'gc:swept') {
      syncs = 0
      pauses = 0
    }
  }
  scene.hooks.sync = () => void syncs++
  scene.hooks.pause = () => void pauses++
  expect(await scene.collect()).toMatchObject({ packsRewritten: 1, slicesLive: 1 + lengths.length })
  // Other work runs after the first move, and at the end.
  expect([syncs, pauses]).toEqual([moves, 2])
})

describe('a pack that cannot be cleaned', () => {
  test('stays, and the next one is cleaned', async () => {
    await using scene = await openScene()
    const packs = [await scene.addSealed([1]), await scene.addSealed([2])]
    const [first] = packs
    scene.hooks.openRead = (path) => {
      if (first && path === scene.pathOf(first)) throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
    }
    expect(await scene.collect()).toMatchObject({ packsRemoved: 1 })
    expect(packs.map(scene.has)).toEqual([true, false])
  })

  test('because nothing can be written ends the work', async () => {
    await using scene = await openScene()
    const packs = [await scene.addSealed(MOSTLY_DEAD), await scene.addSealed(numbers(11, 10))]
    scene.hooks.named = [1, 11]
    let attempts = 0
    scene.hooks.openWrite = () => {
      attempts++
      throw Object.assign(new Error('ENOSPC: the disk is full'), { code: 'ENOSPC' })
    }
    expect(await scene.collect()).toMatchObject({ packsRewritten: 0, freedBytes: 0 })
    expect([attempts, ...packs.map(scene.has)]).toEqual([1, true, true])
  })

  test('because the gc is stopped ends it with the reason', async () => {
    await using scene = await openScene()
    const pack = await scene.addSealed([1])
    const controller = new AbortController()
    scene.hooks.crashPoint = (point) => {
      if (point === 'gc:swept') controller.abort(new Error('stopped'))
    }
    await expect(scene.collect({ signal: controller.signal })).rejects.toThrow('stopped')
    expect(scene.has(pack)).toBe(true)
  })
})
