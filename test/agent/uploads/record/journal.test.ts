// The journal against a model: appends, truncation at every byte, disk failures, compaction.

import { describe, expect, test } from 'bun:test'
import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { COMPACT_SLACK_BYTES, Journal } from '../../../../agent/uploads/record/journal.ts'
import { readEntries } from '../../../../agent/uploads/record/journal-scan.ts'
import type { JournalDeps } from '../../../../agent/uploads/record/journal.ts'
import { ENTRY_BYTES, packEntries, RECORD_HEADER_BYTES, RECORD_TAIL_MAX, unpackEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import type { PackedEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createFailingDisk } from '../../../support/machine/failing-disk.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createOrderedDisk } from '../../../support/machine/ordered-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createRandom } from '../../../support/properties.ts'

const random = (length: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(length))
const deps: JournalDeps = { disk: createDisk(), random }

/** The expected content of a journal: lengths of entries, each with a digest of its number, and a tail. */
interface Model {
  readonly lengths: readonly number[]
  readonly tail: Uint8Array
}
const EMPTY: Model = { lengths: [], tail: new Uint8Array(0) }

/** One append: `cut` new entries of 4096 bytes and a new tail, or only more tail. */
const step = fc.record({ cut: fc.integer({ min: 0, max: 3 }), more: fc.uint8Array({ maxLength: 3000 }) })
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

function next(model: Model, { cut, more }: Step): Model {
  if (cut === 0) return { ...model, tail: Buffer.concat([model.tail, more]) }
  return { lengths: [...model.lengths, ...Array<number>(cut).fill(4096)], tail: more }
}

function entriesOf(model: Model, from: number) {
  return model.lengths.slice(from).map((length, i) => ({ length, digest: new Uint8Array(32).fill(1 + ((from + i) % 255)) }))
}

async function append(journal: Journal, before: Model, after: Model): Promise<void> {
  await journal.append({ entries: packEntries(entriesOf(after, before.lengths.length)), tail: after.tail, timeMs: 5 })
}

async function expectModel(journal: Journal, model: Model): Promise<void> {
  expect(journal.offset).toBe(model.lengths.length * 4096 + model.tail.byteLength)
  expect(Buffer.compare(await journal.readTail(), model.tail)).toBe(0)
  const held = []
  for await (const packed of journal.entries()) held.push(...unpackEntries(packed))
  expect(held.map(({ length, digest }) => [length, digest?.[0]])).toEqual(entriesOf(model, 0).map(({ length, digest }) => [length, digest[0]]))
}

/** A disk whose file syncs fail as a real one's do while `isFailing`: the pages count as clean afterwards, and are not on the disk. */
function withSyncOf(disk: FaultyDisk, isFailing: () => boolean): Disk {
  return {
    ...disk,
    async openWrite(path, mode) {
      const file = await disk.openWrite(path, mode)
      const sync = (): Promise<void> => {
        if (isFailing()) disk.plan({ at: 1, fault: 'EIO' })
        return file.sync()
      }
      return { ...file, sync }
    },
  }
}

describe('the order of its writes', () => {
  test('content before name when it is made, and each append before it is answered', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createOrderedDisk()
    const path = folder.file('upload', 'journal')
    await disk.makeFolder(folder.file('upload'))
    const journal = Journal.empty({ disk, random }, path)
    const first = next(EMPTY, { cut: 1, more: new Uint8Array(10) })
    await append(journal, EMPTY, first)
    expect(disk.take()).toEqual(['remove journal', 'write journal', 'write journal', 'sync journal', 'sync folder upload'])
    await append(journal, first, next(first, { cut: 1, more: new Uint8Array(10) }))
    expect(disk.take()).toEqual(['write journal', 'sync journal'])
    await journal.close()
  })

  test('what is loaded is durable, content and name', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('upload', 'journal')
    await createDisk().makeFolder(folder.file('upload'))
    const journal = Journal.empty(deps, path)
    await append(journal, EMPTY, next(EMPTY, { cut: 1, more: new Uint8Array(10) }))
    await journal.close()
    const disk = createOrderedDisk()
    await Journal.load({ disk, random }, path)
    expect(disk.take()).toEqual(['remove journal.next', 'sync journal', 'sync folder upload', 'close journal'])
    await appendFile(path, 'torn')
    await Journal.load({ disk, random }, path)
    expect(disk.take()).toEqual(['remove journal.next', 'truncate journal', 'sync journal', 'sync folder upload', 'close journal'])
  })

  test('a shorter one is durable before it replaces the journal', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    const plain = Journal.empty(deps, path)
    // Each new tail replaces the one before, and stays in the file until a compaction.
    let model = EMPTY
    const step = async (journal: Journal, more: number): Promise<void> => {
      const after = next(model, { cut: 1, more: new Uint8Array(more) })
      await append(journal, model, after)
      model = after
    }
    while (plain.length + RECORD_TAIL_MAX < COMPACT_SLACK_BYTES) await step(plain, RECORD_TAIL_MAX - 4096)
    await plain.close()
    const disk = createOrderedDisk()
    const journal = await Journal.load({ disk, random }, path)
    disk.take()
    let operations: string[] = []
    for (let i = 0; i < 8 && !operations.includes('rename journal.next journal'); i++) {
      await step(journal, RECORD_TAIL_MAX - 4096)
      operations = disk.take()
    }
    const compaction = operations.slice(operations.indexOf('sync journal') + 1)
    expect(compaction.filter((operation) => operation !== 'write journal.next')).toEqual([
      'sync journal.next',
      'close journal.next',
      'rename journal.next journal',
      'close journal',
    ])
    expect(compaction.lastIndexOf('write journal.next')).toBeLessThan(compaction.indexOf('sync journal.next'))
  })
})

describe('a journal', () => {
  test('whose folder was not synced when its process died is synced when it is loaded', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      await using folder = await createTemporaryFolder()
      const disk = await createFaultyDisk(folder.path)
      await disk.makeFolder(folder.file('upload'))
      const path = folder.file('upload', 'journal')
      const reached = Promise.withResolvers<void>()
      const dying = {
        ...disk,
        syncFolder: () => {
          reached.resolve()
          return new Promise<void>(() => {})
        },
      }
      const after = next(EMPTY, { cut: 2, more: new Uint8Array(100) })
      const journal = Journal.empty({ disk: dying, random }, path)
      void append(journal, EMPTY, after)
      await reached.promise
      await expectModel(await Journal.load({ disk, random }, path), after)
      await journal.close()
      await disk.losePower(createRandom(seed))
      disk.revive()
      await expectModel(await Journal.load({ disk, random }, path), after)
    }
  })

  test('does not read again what a failed sync may have dropped', async () => {
    for (let before = 0; before <= 1; before++) {
      for (let seed = 1; seed <= 8; seed++) {
        await using folder = await createTemporaryFolder()
        const disk = await createFaultyDisk(folder.path)
        await disk.makeFolder(folder.file('upload'))
        const path = folder.file('upload', 'journal')
        let failing = false
        const deps: JournalDeps = { disk: withSyncOf(disk, () => failing), random }
        const journal = Journal.empty(deps, path)
        const durable = before === 0 ? EMPTY : next(EMPTY, { cut: 1, more: new Uint8Array(50) })
        if (before > 0) await append(journal, EMPTY, durable)
        failing = true
        await expect(append(journal, durable, next(durable, { cut: 2, more: new Uint8Array(100) }))).rejects.toThrow('EIO')
        failing = false
        await journal.close()
        const loaded = (await Journal.load(deps, path)).offset
        await disk.losePower(createRandom(seed))
        disk.revive()
        expect((await Journal.load(deps, path)).offset).toBe(loaded)
      }
    }
  })

  test('keeps what it had when a later append fails', async () => {
    await using folder = await createTemporaryFolder()
    const real = createDisk()
    let isFailing = false
    const openWrite: Disk['openWrite'] = async (path, mode) => {
      const file = await real.openWrite(path, mode)
      return { ...file, sync: () => (isFailing ? Promise.reject(new Error('EIO')) : file.sync()) }
    }
    const failing: JournalDeps = { disk: { ...real, openWrite }, random }
    const path = folder.file('journal')
    const first = next(EMPTY, { cut: 1, more: new Uint8Array(50) })
    const journal = Journal.empty(failing, path)
    await append(journal, EMPTY, first)
    const { length } = await readFile(path)
    isFailing = true
    await expect(append(journal, first, next(first, { cut: 1, more: new Uint8Array(5) }))).rejects.toThrow('EIO')
    await journal.close()
    expect((await readFile(path)).length).toBe(length)
    await expectModel(await Journal.load(deps, path), first)
  })

  test('that cannot be replaced by a shorter one stays, and leaves no file beside it', async () => {
    await using folder = await createTemporaryFolder()
    const real = createDisk()
    let renames = 0
    const rename: Disk['rename'] = async () => {
      renames++
      throw new Error('EIO')
    }
    const path = folder.file('journal')
    const journal = Journal.empty({ disk: { ...real, rename }, random }, path)
    let model = EMPTY
    while (renames === 0) {
      const after = next(model, { cut: 1, more: new Uint8Array(RECORD_TAIL_MAX - 4096) })
      await append(journal, model, after)
      model = after
    }
    await expectModel(journal, model)
    await journal.close()
    expect(await real.list(folder.path)).toEqual(['journal'])
  })

  test('has what was appended, also when it is reopened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await using folder = await createTemporaryFolder()
        let journal = await Journal.load(deps, folder.file('journal'))
        let model = EMPTY
        for (const one of steps) {
          const after = next(model, one)
          await append(journal, model, after)
          model = after
          if (one.more.byteLength % 2 === 0) {
            await journal.close()
            journal = await Journal.load(deps, folder.file('journal'))
            expect(journal.droppedBytes).toBe(0)
          }
          await expectModel(journal, model)
        }
        await journal.close()
      }),
      { numRuns: 30 },
    )
  })

  test('truncated anywhere has a committed state and accepts appends', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    const steps: Step[] = [
      { cut: 0, more: random(100) },
      { cut: 2, more: random(50) },
      { cut: 0, more: random(30) },
      { cut: 1, more: random(0) },
    ]
    const states = [EMPTY]
    const ends = [0]
    const journal = await Journal.load(deps, path)
    for (const one of steps) {
      const after = next(states.at(-1) ?? EMPTY, one)
      await append(journal, states.at(-1) ?? EMPTY, after)
      states.push(after)
      ends.push(journal.length)
    }
    await journal.close()
    const whole = await readFile(path)
    for (let length = 0; length <= whole.byteLength; length += 1) {
      await writeFile(path, whole.subarray(0, length))
      const cut = await Journal.load(deps, path)
      const state = states[ends.findLastIndex((end) => end <= length)] ?? EMPTY
      await expectModel(cut, state)
      if (length % 37 !== 0) continue
      const after = next(state, { cut: 1, more: random(9) })
      await append(cut, state, after)
      await cut.close()
      await expectModel(await Journal.load(deps, path), after)
    }
  })

  test('ignores bytes after its last record, even a record of an earlier append', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    const journal = await Journal.load(deps, path)
    const first = next(EMPTY, { cut: 1, more: random(10) })
    await append(journal, EMPTY, first)
    const end = journal.length
    const second = next(first, { cut: 0, more: random(20) })
    await append(journal, first, second)
    await journal.close()
    const stale = (await readFile(path)).subarray(end)
    await truncate(path, end)
    const again = await Journal.load(deps, path)
    const other = next(first, { cut: 0, more: random(5) })
    await append(again, first, other)
    await again.close()
    await appendFile(path, stale)
    const loaded = await Journal.load(deps, path)
    expect(loaded.droppedBytes).toBe(stale.byteLength)
    await expectModel(loaded, other)
  })

  test('whose n-th disk operation fails has what was acknowledged, or one append more', async () => {
    const steps: Step[] = [
      { cut: 0, more: random(100) },
      { cut: 2, more: random(50) },
      { cut: 0, more: random(30) },
      { cut: 3, more: random(7) },
    ]
    for (let n = 1; n < 20; n++) {
      await using folder = await createTemporaryFolder()
      const disk = createFailingDisk(createDisk())
      const journal = await Journal.load({ disk, random }, folder.file('journal'))
      let model = EMPTY
      let tried = EMPTY
      disk.failAfter(n)
      for (const one of steps) {
        tried = next(model, one)
        try {
          await append(journal, model, tried)
        } catch {
          expect(journal.isBroken).toBe(true)
          break
        }
        model = tried
      }
      disk.failAfter(undefined)
      await journal.close()
      const loaded = await Journal.load({ disk, random }, folder.file('journal'))
      await expectModel(loaded, loaded.offset === model.lengths.length * 4096 + model.tail.byteLength ? model : tried)
      const after = next(loaded.offset === tried.lengths.length * 4096 + tried.tail.byteLength ? tried : model, { cut: 1, more: random(3) })
      await append(loaded, { ...after, lengths: after.lengths.slice(0, -1) }, after)
      await expectModel(loaded, after)
      await loaded.close()
    }
  })

  test('is rewritten when most of it is superseded, and stays small with a slow client', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    let journal = await Journal.load(deps, path)
    let model = EMPTY
    for (let i = 0; i < 40; i++) {
      for (const one of [
        { cut: 0, more: random(200_000) },
        { cut: 0, more: random(50_000) },
        { cut: 1, more: random(10) },
      ]) {
        const after = next(model, one)
        await append(journal, model, after)
        model = after
      }
    }
    expect(journal.length).toBeLessThan(5 * 1024 * 1024)
    await expectModel(journal, model)
    await journal.close()
    journal = await Journal.load(deps, path)
    await expectModel(journal, model)
  })

  test('returns when the last bytes arrived, also after it was rewritten for an append without bytes', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    let journal = await Journal.load(deps, path)
    const entry = (): PackedEntries => packEntries([{ length: 4096, digest: random(32) }])
    // A tail of this length makes the file as long as it can be before it is rewritten.
    await journal.append({ entries: entry(), tail: random(RECORD_TAIL_MAX), timeMs: 1000 })
    const tailBytes = journal.length + RECORD_HEADER_BYTES + ENTRY_BYTES - COMPACT_SLACK_BYTES - 2 * 2 * ENTRY_BYTES
    const tail = random(tailBytes)
    await journal.append({ entries: entry(), tail, timeMs: 2000 })
    const before = journal.length
    expect(before).toBe(COMPACT_SLACK_BYTES + 2 * (2 * ENTRY_BYTES + tailBytes))
    await journal.append({ entries: packEntries([]), tail, timeMs: 3000 })
    expect(journal.length).toBeLessThan(before)
    for (let i = 0; i < 2; i++) {
      expect([journal.bytesTimeMs, journal.timeMs, journal.tailLength]).toEqual([2000, 3000, tailBytes])
      expect(Buffer.compare(await journal.readTail(), tail)).toBe(0)
      await journal.close()
      journal = await Journal.load(deps, path)
    }
  })

  test('longer than a window is read completely', async () => {
    await using folder = await createTemporaryFolder()
    const journal = await Journal.load(deps, folder.file('journal'))
    const model: Model = { lengths: Array<number>(150_000).fill(4096), tail: random(200_000) }
    await append(journal, EMPTY, model)
    await expectModel(journal, model)
    await journal.close()
    await expectModel(await Journal.load(deps, folder.file('journal')), model)
  })

  test('has no entries when it is removed before it is read', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('journal')
    const journal = await Journal.load(deps, path)
    await append(journal, EMPTY, { lengths: [4096], tail: new Uint8Array(0) })
    await journal.close()
    const { disk } = deps
    const openRead = async (name: string) => {
      await disk.remove(name)
      return disk.openRead(name)
    }
    expect(await Array.fromAsync(readEntries({ ...disk, openRead }, path))).toEqual([])
  })
})
