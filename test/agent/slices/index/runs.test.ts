// Runs of the index database compared with a Map: whatever is written, merged or damaged, a look-up is correct or throws.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { runIndexJob } from '../../../../agent/slices/index/index-jobs.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { RunBatch } from '../../../../agent/slices/index/run-batch.ts'
import { RunCursor } from '../../../../agent/slices/index/run-cursor.ts'
import { RunFile } from '../../../../agent/slices/index/run-file.ts'
import { decodeRow, encodeRow, REMOVED, RUN_BLOCK_ROWS, RUN_ROW_BYTES } from '../../../../agent/slices/index/run-format.ts'
import { mergeRuns, planMerge } from '../../../../agent/slices/index/run-merge.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import type { SliceRow } from '../../../../agent/slices/packs/slice-row.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import { damage } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const pause = async (): Promise<void> => {}
const never = new AbortController().signal

/** A digest of which most begin alike: more of them than a block holds have the same first bytes. */
function digestOf(n: number): Buffer {
  const digest = Buffer.from(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)
  if (n % 3 !== 0) digest.fill(n % 2, 0, 8)
  return digest
}

const keyOf = (digest: Uint8Array): string => Buffer.from(digest).toString('hex')

function rowOf(n: number, pack: number): SliceRow {
  return pack === REMOVED
    ? { digest: digestOf(n), pack, offset: 0, length: 0, storedLength: 0 }
    : { digest: digestOf(n), pack, offset: 16 + n * 1000, length: 4_194_304 - n, storedLength: 1 + n }
}

async function write(folder: TemporaryFolder, run: number, rows: readonly SliceRow[]): Promise<RunFile> {
  const path = folder.file(`${run}.run`)
  const batch = new RunBatch()
  for (const row of rows) batch.add(row)
  {
    await using writer = await RunWriter.create(path, run, Math.max(1, rows.length))
    await batch.writeTo(writer)
    await writer.end()
  }
  return RunFile.open(path, run)
}

/** Distinct numbers below 1000, each with a pack from 1 to 4 or removed. */
const runArbitrary = fc.uniqueArray(fc.record({ n: fc.nat({ max: 999 }), pack: fc.nat({ max: 4 }) }), { maxLength: 700, selector: ({ n }) => n })

function walk(file: RunFile, after?: Uint8Array): SliceRow[] {
  const rows: SliceRow[] = []
  for (const cursor = new RunCursor(file, 2, after); cursor.isOpen; cursor.advance()) rows.push(decodeRow(cursor.bytes, cursor.at))
  return rows
}

describe('a run', () => {
  test('finds what was written and nothing else, and iterates in order from any digest', async () => {
    await fc.assert(
      fc.asyncProperty(runArbitrary, fc.nat({ max: 999 }), async (written, from) => {
        await using folder = await createTemporaryFolder()
        const rows = written.map(({ n, pack }) => rowOf(n, pack))
        using file = await write(folder, 7, rows)
        using opened = await RunFile.openAsync(file.path, 7)
        const model = new Map(rows.map(({ digest, ...at }) => [keyOf(digest), at]))
        for (let n = 0; n < 1000; n++) {
          const at = model.get(keyOf(digestOf(n)))
          const found = opened.find(digestOf(n))
          expect(found).toEqual(at?.pack === REMOVED ? 'removed' : at)
          if (at) expect(file.mayHave(digestOf(n))).toBe(true)
        }
        const sorted = rows.toSorted((a, b) => Buffer.compare(a.digest, b.digest))
        expect(walk(file).map(({ digest }) => keyOf(digest))).toEqual(sorted.map(({ digest }) => keyOf(digest)))
        const after = digestOf(from)
        const rest = sorted.filter(({ digest }) => Buffer.compare(digest, after) > 0)
        expect(walk(file, after).map(({ digest }) => keyOf(digest))).toEqual(rest.map(({ digest }) => keyOf(digest)))
        const prefix = after.subarray(0, 2)
        const below = sorted.filter(({ digest }) => Buffer.compare(digest.subarray(0, 2), prefix) >= 0)
        expect(walk(file, prefix)).toHaveLength(below.length)
      }),
      propertyOptions(20),
    )
  }, 30_000)

  test('is refused, or its block is, when a byte of it was changed', async () => {
    await using folder = await createTemporaryFolder()
    const rows = Array.from({ length: 3 * RUN_BLOCK_ROWS }, (_, n) => rowOf(n, 1 + (n % 4)))
    const { path } = await write(folder, 3, rows)
    const whole = Buffer.from(await Bun.file(path).arrayBuffer())
    const random = createRandom(1)
    for (let flips = 0; flips < 400; flips++) {
      const at = random.below(whole.length)
      await damage(path, at, (byte) => byte ^ (1 + random.below(255)))
      let errors = 0
      try {
        using file = RunFile.open(path, 3)
        for (const { digest, ...place } of rows) {
          try {
            expect(file.find(Buffer.from(digest))).toEqual(place)
          } catch (error) {
            if (!(error instanceof IndexUnusable)) throw error
            errors++
          }
        }
      } catch (error) {
        if (!(error instanceof IndexUnusable)) throw error
        errors++
      }
      if (errors === 0) throw new Error(`the flip at ${at} was not noticed`)
      await Bun.write(path, whole)
    }
    expect(() => RunFile.open(path, 4)).toThrow('run 4')
    await Bun.write(path, whole.subarray(0, whole.length - 1))
    expect(() => RunFile.open(path, 3)).toThrow('no valid trailer')
  })
})

describe('merging runs', () => {
  test('returns each slice as in the newest run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(runArbitrary, { minLength: 1, maxLength: 5 }), fc.boolean(), fc.boolean(), async (written, isOldest, dropsOrphans) => {
        await using folder = await createTemporaryFolder()
        using stack = new DisposableStack()
        const files: RunFile[] = []
        for (const [i, rows] of written.entries())
          files.push(
            stack.use(
              await write(
                folder,
                i + 1,
                rows.map(({ n, pack }) => rowOf(n, pack)),
              ),
            ),
          )
        const model = new Map<number, number>()
        for (const rows of written.toReversed()) for (const { n, pack } of rows) model.set(n, pack)
        let orphans = 0
        for (const [n, pack] of [...model]) {
          const isOrphan = dropsOrphans && pack > 2
          if (isOrphan) orphans++
          if (isOrphan || (isOldest && pack === REMOVED)) model.delete(n)
        }
        const order = { path: folder.file('99.run'), run: 99, isOldest, ...(dropsOrphans ? { packs: new Set([1, 2]) } : {}) }
        const merged = await mergeRuns(files, order, pause)
        const bytes = [...model].reduce((sum, [n, pack]) => sum + (pack === REMOVED ? 0 : 1 + n), 0)
        expect(merged).toEqual({ rows: model.size, bytes, orphans })
        using file = RunFile.open(folder.file('99.run'), 99)
        expect(new Map(walk(file).map(({ digest, pack }) => [keyOf(digest), pack]))).toEqual(new Map([...model].map(([n, pack]) => [keyOf(digestOf(n)), pack])))
      }),
      propertyOptions(15),
    )
  }, 30_000)

  test('keeps few runs and rewrites each row a few times, in whatever order rows are added', () => {
    for (const place of ['newest', 'oldest']) {
      const runs: number[] = []
      let written = 0
      for (let i = 0; i < 4000; i++) {
        if (place === 'newest') runs.unshift(9000)
        else runs.push(9000)
        for (let plan = planMerge(runs); plan; plan = planMerge(runs)) {
          const rows = runs.slice(plan.from, plan.to).reduce((sum, count) => sum + count, 0)
          runs.splice(plan.from, plan.to - plan.from, rows)
          written += rows
        }
        expect(runs.length).toBeLessThan(30)
      }
      expect(written / (4000 * 9000)).toBeLessThan(12)
    }
  })

  test('runs on a thread when there are many rows, and reports damage as such', async () => {
    await using folder = await createTemporaryFolder()
    const rows = Array.from({ length: 300 }, (_, n) => rowOf(n, 1))
    using file = await write(folder, 1, rows)
    // The declared number of rows makes it a large job.
    const runs = [{ path: file.path, run: 1, rows: 10_000_000 }]
    const order = { path: folder.file('2.run'), run: 2, isOldest: true }
    expect(await runIndexJob({ kind: 'merge', runs, order }, pause, never)).toMatchObject({ rows: 300 })
    const filter = createFilter(1000)
    await runIndexJob({ kind: 'filter', runs, buffer: filter.buffer, capacity: filter.capacity }, pause, never)
    for (const { digest } of rows) expect(filter.mayHave(digest)).toBe(true)
    await damage(file.path, 5000)
    await expect(runIndexJob({ kind: 'merge', runs, order: { ...order, path: folder.file('3.run'), run: 3 } }, pause, never)).rejects.toThrow(IndexUnusable)
    expect(await Bun.file(folder.file('3.run')).exists()).toBe(false)
    const controller = new AbortController()
    const job = runIndexJob({ kind: 'filter', runs, buffer: filter.buffer, capacity: filter.capacity }, pause, controller.signal)
    controller.abort(new Error('closed'))
    await expect(job).rejects.toThrow('closed')
  })
})

describe('a check of the index', () => {
  test.each<[string, readonly number[], string | undefined]>([
    ['in order', [1, 2, 3], undefined],
    ['of one row', [1], undefined],
    ['with two rows that changed places', [1, 3, 2], 'run 7 of the index is not in order'],
    ['with a row twice', [1, 2, 2], 'run 7 of the index is not in order'],
  ])('of a run %s', async (_what, firstBytes, fault) => {
    await using folder = await createTemporaryFolder()
    const file = folder.file('index.db')
    {
      await using _index = IndexDatabase.open(file)
    }
    const path = folder.file('7.run')
    {
      await using writer = await RunWriter.create(path, 7, firstBytes.length)
      const row = Buffer.alloc(RUN_ROW_BYTES)
      for (const first of firstBytes) {
        const digest = new Uint8Array(32).fill(9)
        digest[0] = first
        encodeRow(row, 0, { digest, pack: 1, offset: 16, length: 100, storedLength: 100 })
        writer.push(row, 0)
      }
      await writer.end()
    }
    const runs = [{ path, run: 7, rows: firstBytes.length }]
    expect(await runIndexJob({ kind: 'check', file, runs }, pause, never)).toBe(fault)
  })
})
