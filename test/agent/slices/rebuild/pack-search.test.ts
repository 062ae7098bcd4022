// The search of the packs for slices that the index lacks or has elsewhere: what it finds, corrects, quarantines and leaves alone.

import { describe, expect, test } from 'bun:test'
import { writeFileSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackHeader, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import type { Location, PackEntry } from '../../../../agent/slices/packs/slice-row.ts'
import { createPackSearch } from '../../../../agent/slices/rebuild/pack-search.ts'
import type { Quarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const bytesOf = (n: number): Uint8Array => new Uint8Array(100).fill(n)
const digestOf = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytesOf(n)) as Uint8Array)
/** The packs have a header of 16 bytes and records of 64 + 100 bytes. */
const rowAt = (n: number, position: number): PackRow => ({
  digest: digestOf(n),
  offset: 16 + position * (RECORD_HEADER_BYTES + 100),
  length: 100,
  storedLength: 100,
})

/** Packs with these slices each; all but the last are sealed if `open` is set. The index has no slices. */
async function openScene(packs: readonly (readonly number[])[], options: { readonly open?: boolean } = {}) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const disk = createDisk()
  const log = createMemoryLog()
  const entries: PackEntry[] = []
  for (const [i, slices] of packs.entries()) {
    const entry = index.addPack(String(i).padStart(32, '0'))
    entries.push(entry)
    const path = folder.file(packPath(entry.name))
    await disk.makeFolder(dirname(path))
    await using file = await disk.openWrite(path, 'create')
    const parts = slices.flatMap((n) => {
      const header = Buffer.alloc(RECORD_HEADER_BYTES)
      writeRecordHeader(header, 0, { digest: digestOf(n), codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytesOf(n)) })
      return [header, bytesOf(n)]
    })
    await file.write([encodePackHeader(), ...parts], 0)
    const rows = slices.map((n, position) => rowAt(n, position))
    const length = await writePackFooter(file, rows, 16 + rows.length * (RECORD_HEADER_BYTES + 100))
    if (!(options.open && i === packs.length - 1)) index.sealPack(entry.id, length)
  }
  const quarantined: unknown[] = []
  const bad = new Set<string>()
  const quarantine: Pick<Quarantine, 'has' | 'add'> = {
    has: (_digest, pack, offset) => bad.has(`${pack} ${offset}`),
    async add(digest, location, reason) {
      await hooks.onQuarantine()
      quarantined.push([digest[0], location.pack, location.offset, reason])
    },
  }
  const nothing = async (): Promise<void> => {}
  const hooks = { retries: 0, pauses: 0, onRead: (_offset: number): void => {}, onPause: nothing, onRetry: nothing, onQuarantine: nothing }
  const watched: typeof disk = {
    ...disk,
    async openRead(path) {
      const file = await disk.openRead(path)
      return {
        ...file,
        async read(into, at) {
          const filled = await file.read(into, at)
          hooks.onRead(at)
          return filled
        },
      }
    },
  }
  const files = stack.use(new PackFiles(watched, folder.file('')))
  const search = createPackSearch({
    log,
    index,
    files,
    quarantine: quarantine as Quarantine,
    async retryLeftOut() {
      hooks.retries++
      await hooks.onRetry()
    },
    async pause() {
      hooks.pauses++
      await hooks.onPause()
    },
  })
  const own = stack.move()
  const pathOf = (i: number): string => folder.file(packPath(entries[i]?.name ?? ''))
  return { index, entries, search, quarantined, bad, hooks, log, pathOf, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

const at = (pack: PackEntry | undefined, { offset, length, storedLength }: PackRow): Location => ({ pack: pack?.id ?? 0, offset, length, storedLength })

/** Only the location of what the index or the search returns, which may have more members. */
function plain<Found extends Location | string>(found: Found | undefined): Location | Found | undefined {
  if (found === undefined || typeof found === 'string') return found
  const { pack, offset, length, storedLength } = found
  return { pack, offset, length, storedLength }
}

describe('find', () => {
  test('adds what the sealed packs have, each from the first, and remembers what none has', async () => {
    await using scene = await openScene([[1, 2], [2, 3], [4]], { open: true })
    const { index, entries, search, hooks } = scene
    await search.find([1, 2, 3, 4, 5].map(digestOf))
    expect([1, 2, 3, 4, 5].map((n) => plain(index.find(digestOf(n))))).toEqual([
      at(entries[0], rowAt(1, 0)),
      at(entries[0], rowAt(2, 1)),
      at(entries[1], rowAt(3, 1)),
      undefined,
      undefined,
    ])
    expect(index.isDistrusted).toBe(true)
    expect([1, 3, 4, 5].map((n) => index.isKnownAbsent(digestOf(n)))).toEqual([false, false, true, true])
    expect(hooks).toMatchObject({ retries: 1, pauses: 2 })
    await search.find([1, 4, 5].map(digestOf))
    expect(hooks.retries).toBe(1)
  })

  test('does not add what it is not asked for, and leaves an intact index trusted', async () => {
    await using scene = await openScene([[1, 2]])
    await scene.search.find([digestOf(9)])
    expect([scene.index.find(digestOf(1)), scene.index.isDistrusted]).toEqual([undefined, false])
    await scene.search.find([])
    expect(scene.hooks.retries).toBe(1)
  })

  test('remembers nothing as absent while a pack cannot be read', async () => {
    await using scene = await openScene([[1], [2]])
    rmSync(scene.pathOf(0))
    await scene.search.find([1, 2].map(digestOf))
    expect([1, 2].map((n) => plain(scene.index.find(digestOf(n))))).toEqual([undefined, at(scene.entries[1], rowAt(2, 0))])
    expect(scene.index.isKnownAbsent(digestOf(1))).toBe(false)
    expect(scene.log.lines.map(({ message }) => message)).toEqual(['a pack cannot be searched for lost slices'])
  })

  test('quarantines a damaged record, and takes the slice from the next pack', async () => {
    await using scene = await openScene([[1], [1]])
    const bytes = readFileSync(scene.pathOf(0))
    bytes[16 + RECORD_HEADER_BYTES + 5] = 77
    writeFileSync(scene.pathOf(0), bytes)
    await scene.search.find([digestOf(1)])
    expect(scene.quarantined).toEqual([[digestOf(1)[0], scene.entries[0]?.id, 16, 'its checksum does not match']])
    expect(plain(scene.index.find(digestOf(1)))).toEqual(at(scene.entries[1], rowAt(1, 0)))
  })

  test('does not take a record that is in quarantine', async () => {
    await using scene = await openScene([[1], [1]])
    scene.bad.add(`${scene.entries[0]?.name} 16`)
    await scene.search.find([digestOf(1)])
    expect(scene.quarantined).toEqual([])
    expect(plain(scene.index.find(digestOf(1)))).toEqual(at(scene.entries[1], rowAt(1, 0)))
  })

  test('leaves alone a slice that was stored while its record was read, and a pack that gc removed meanwhile', async () => {
    await using scene = await openScene([[1], [2], [7]])
    const { index, entries } = scene
    const [, second, third] = entries
    const { hooks } = scene
    let records = 0
    // The records of both packs are at the same offset; the first read of it is that of slice 1.
    hooks.onRead = (offset) => {
      if (offset !== 16) return
      records++
      if (records === 1) index.add(third?.id ?? 0, [{ ...rowAt(1, 0), offset: 500 }])
      else if (records === 2) index.removePack(second?.id ?? 0)
    }
    await scene.search.find([1, 2].map(digestOf))
    expect(records).toBe(2)
    expect(plain(index.find(digestOf(1)))).toEqual({ pack: third?.id ?? 0, offset: 500, length: 100, storedLength: 100 })
    expect(plain(index.find(digestOf(2)))).toBeUndefined()
    expect([index.isDistrusted, scene.quarantined]).toEqual([false, []])
  })

  test('called twice during a pass shares the next one', async () => {
    await using scene = await openScene([[1, 2, 3]])
    const first = scene.search.find([digestOf(1)])
    await Promise.resolve()
    await Promise.all([first, scene.search.find([digestOf(2)]), scene.search.find([digestOf(3)])])
    expect([1, 2, 3].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([16, 180, 344])
    expect(scene.hooks.retries).toBeLessThanOrEqual(2)
  })

  test('of slices that the running pass looks for waits for it; of one more slice it starts another', async () => {
    await using scene = await openScene([[4, 5], [1]])
    const { search, hooks, index } = scene
    const first = Promise.withResolvers<void>()
    hooks.onPause = () => first.promise
    const running = search.find([1, 2].map(digestOf))
    await until('the pass has read the first pack', () => hooks.pauses === 1)
    const order: string[] = []
    const same = search.find([1].map(digestOf)).then(() => order.push(`same, found at ${index.find(digestOf(1))?.offset}`))
    const more = search.find([2, 5].map(digestOf)).then(() => order.push(`more, found at ${index.find(digestOf(5))?.offset}`))
    await Bun.sleep(5)
    expect(order).toEqual([])
    first.resolve()
    await Promise.all([running, same, more])
    expect(order).toEqual(['same, found at 16', 'more, found at 180'])
    expect(hooks.retries).toBe(2)
  })

  test('of slices that the running pass looks for starts no other', async () => {
    await using scene = await openScene([[1]])
    const retry = Promise.withResolvers<void>()
    scene.hooks.onRetry = () => retry.promise
    const running = scene.search.find([1, 2].map(digestOf))
    await until('the pass', () => scene.hooks.retries === 1)
    const same = scene.search.find([digestOf(2)])
    retry.resolve()
    await Promise.all([running, same])
    expect(scene.hooks.retries).toBe(1)
  })

  test('searches again for what a pass that could not read a pack did not find', async () => {
    await using scene = await openScene([[1]])
    const path = scene.pathOf(0)
    const bytes = readFileSync(path)
    rmSync(path)
    await scene.search.find([digestOf(1)])
    expect(scene.index.find(digestOf(1))).toBeUndefined()
    writeFileSync(path, bytes)
    await scene.search.find([digestOf(1)])
    expect(plain(scene.index.find(digestOf(1)))).toEqual(at(scene.entries[0], rowAt(1, 0)))
  })

  test('searches packs that were left out once they are read', async () => {
    await using scene = await openScene([[1]])
    const { index, hooks, entries } = scene
    const { id = 0, name = '', length = 0 } = entries[0] ?? {}
    const sealedLength = index.pack(id)?.length ?? length
    index.removePack(id)
    hooks.onRetry = async () => {
      await Promise.resolve()
      index.sealPack(index.addPack(name).id, sealedLength)
    }
    await scene.search.find([digestOf(1)])
    expect(index.find(digestOf(1))?.offset).toBe(16)
  })

  test('counts a pack that gc removed meanwhile as searched', async () => {
    await using scene = await openScene([[1], [2]])
    const { index, entries, hooks } = scene
    hooks.onPause = async () => {
      rmSync(scene.pathOf(1), { force: true })
      index.removePack(entries[1]?.id ?? 0)
    }
    await scene.search.find([digestOf(9)])
    expect(index.isKnownAbsent(digestOf(9))).toBe(true)
  })

  test('ends when a damaged record is in quarantine', async () => {
    await using scene = await openScene([[1]])
    const bytes = readFileSync(scene.pathOf(0))
    bytes.writeUInt8(bytes.readUInt8(90) ^ 1, 90)
    writeFileSync(scene.pathOf(0), bytes)
    const written = Promise.withResolvers<void>()
    let writes = 0
    scene.hooks.onQuarantine = () => {
      writes++
      return written.promise
    }
    const found = scene.search.find([digestOf(1)])
    await until('the quarantine is being written', () => writes === 1)
    await Bun.sleep(1)
    expect(scene.hooks.pauses).toBe(0)
    written.resolve()
    await found
    expect([scene.hooks.pauses, scene.quarantined.length]).toEqual([1, 1])
  })
})

describe('judge', () => {
  test('a record at the place that the table of its pack names is damaged', async () => {
    await using scene = await openScene([[1, 2]])
    const place = at(scene.entries[0], rowAt(2, 1))
    scene.index.add(place.pack, [rowAt(2, 1)])
    expect(plain(await scene.search.judge(digestOf(2), place))).toBe('damaged')
    expect(plain(scene.index.find(digestOf(2)))).toEqual(place)
    expect(scene.hooks.retries).toBe(0)
  })

  test('a record in an unsealed pack is damaged: its row never left memory', async () => {
    await using scene = await openScene([[1], [2]], { open: true })
    const place = { ...at(scene.entries[1], rowAt(2, 0)), length: 99 }
    expect(plain(await scene.search.judge(digestOf(2), place))).toBe('damaged')
  })

  test.each<[string, Partial<PackRow>]>([
    ['offset', { offset: 180 }],
    ['length', { length: 101 }],
    ['stored length', { storedLength: 99 }],
  ])('a row with another %s is wrong, and corrected', async (_what, wrong) => {
    await using scene = await openScene([[1, 2]])
    const row = { ...rowAt(1, 0), ...wrong }
    const [pack] = scene.entries
    scene.index.add(pack?.id ?? 0, [row])
    expect(plain(await scene.search.judge(digestOf(1), at(pack, row)))).toEqual(at(pack, rowAt(1, 0)))
    expect(plain(scene.index.find(digestOf(1)))).toEqual(at(pack, rowAt(1, 0)))
    expect(scene.index.isDistrusted).toBe(true)
  })

  test('a row in a pack that is gone is corrected from another pack', async () => {
    await using scene = await openScene([[2], [1]])
    expect(plain(await scene.search.judge(digestOf(1), { pack: 99, offset: 16, length: 100, storedLength: 100 }))).toEqual(at(scene.entries[1], rowAt(1, 0)))
  })

  test('a slice that no pack has is lost, and its row goes', async () => {
    await using scene = await openScene([[1]])
    const [pack] = scene.entries
    scene.index.add(pack?.id ?? 0, [{ ...rowAt(1, 0), digest: digestOf(8) }])
    expect(plain(await scene.search.judge(digestOf(8), at(pack, rowAt(1, 0))))).toBe('lost')
    expect(plain(scene.index.find(digestOf(8)))).toBeUndefined()
    expect(scene.index.isKnownAbsent(digestOf(8))).toBe(true)
  })
})
