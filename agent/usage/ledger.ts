// The usage ledger: the periods of removed images, in one append-only file for each month in which they ended (docs/format.md, "Usage ledger").
//
//   usage/2026-11.log:  \n<xxHash64 of the JSON, 16 hex digits> <JSON>\n …
//
// Each record starts and ends with a line feed, so that a torn record never damages the next one.

import { join } from 'node:path'
import { z } from 'zod'
import { hasCode } from '../../protocol/errors.ts'
import { imageKindSchema } from '../../protocol/images/image.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'
import { createInOrder } from '../contract/in-order.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import type { EndedPeriod, UsageLedger, UsageRecords } from '../contract/usage.ts'

/** Longest record in bytes. Name and owner have at most 255 characters each. */
const RECORD_BYTES_MAX = 16 * 1024
/** Bytes that are read at once. */
const WINDOW_BYTES = 256 * 1024
/** Lines that are decoded between two looks at the clock: about a millisecond of work. */
const LINES_AT_ONCE = 32
const CHECKSUM_LENGTH = 16
const LINE_FEED = 10
const FILE_NAME = /^(\d{4}-\d{2})\.log$/

const recordSchema = z.object({
  imageId: z.string(),
  name: z.string(),
  kind: imageKindSchema,
  owner: z.string().nullable(),
  length: z.number(),
  storedSize: z.number().nullable(),
  fromMs: z.number(),
  toMs: z.number(),
  /** Set if an earlier attempt may have written the same period. */
  mayRepeat: z.literal(true).optional(),
})

type LedgerRecord = z.infer<typeof recordSchema>

export interface LedgerDeps {
  readonly disk: Disk
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly crashPoint: CrashPoint
  /** The folder `usage` of the mount path. */
  readonly folder: string
}

/** Opens the ledger. Reads nothing until it is asked. */
export function createLedger(deps: LedgerDeps): UsageLedger & UsageRecords {
  const order = createInOrder()
  return {
    append: (periods, { mayRepeat }) =>
      order.run(async () => {
        for (const [month, group] of Map.groupBy(periods, ({ toMs }) => monthName(toMs))) {
          const lines = group.map((period) => encodeRecord({ ...period, ...(mayRepeat ? { mayRepeat } : {}) }))
          await appendTo(deps, join(deps.folder, `${month}.log`), new TextEncoder().encode(lines.join('')))
        }
        if (periods.length > 0) deps.crashPoint('usage:recorded')
      }),
    async *records(fromMs, onDamaged) {
      const names = (await deps.disk.list(deps.folder)).filter((name) => (FILE_NAME.exec(name)?.[1] ?? '') >= monthName(fromMs)).toSorted()
      const repeated = new Set<string>()
      for (const name of names) {
        for await (const lines of readLines(deps, name)) {
          // Few records have this member, and no text in JSON contains it with these quotes.
          for (const line of lines) if (line?.includes('"mayRepeat":true')) addKey(repeated, decodeRecord(line))
        }
      }
      let damaged = 0
      const counted = new Set<string>()
      for (const name of names) {
        for await (const lines of readLines(deps, name)) {
          for (const line of lines) {
            const record = line === undefined ? undefined : decodeRecord(line)
            if (record === undefined) damaged++
            else if (record.toMs > fromMs && isFirst(record, repeated, counted)) yield periodOf(record)
          }
        }
      }
      onDamaged(damaged)
    },
  }
}

/** Returns whether a record is the first of its period. Only periods that may be repeated are remembered. */
function isFirst(record: LedgerRecord, repeated: ReadonlySet<string>, counted: Set<string>): boolean {
  const key = keyOf(record)
  if (!repeated.has(key)) return true
  if (counted.has(key)) return false
  counted.add(key)
  return true
}

function addKey(keys: Set<string>, record: LedgerRecord | undefined): void {
  if (record?.mayRepeat) keys.add(keyOf(record))
}

function keyOf({ imageId, fromMs }: LedgerRecord): string {
  return `${imageId} ${fromMs}`
}

function periodOf({ imageId, name, kind, owner, length, storedSize, fromMs, toMs }: LedgerRecord): EndedPeriod {
  return { imageId, name, kind, owner, length, storedSize, fromMs, toMs }
}

function monthName(ms: number): string {
  return formatTime(ms).slice(0, 7)
}

function checksumOf(text: string): string {
  return Bun.hash.xxHash64(text).toString(16).padStart(CHECKSUM_LENGTH, '0')
}

function encodeRecord(record: LedgerRecord): string {
  const text = JSON.stringify(record)
  return `\n${checksumOf(text)} ${text}\n`
}

/** Returns undefined for a damaged record. */
function decodeRecord(line: string): LedgerRecord | undefined {
  const text = line.slice(CHECKSUM_LENGTH + 1)
  if (line.slice(0, CHECKSUM_LENGTH + 1) !== `${checksumOf(text)} `) return undefined
  const parsed = recordSchema.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : undefined
}

async function appendTo({ disk, folder }: LedgerDeps, path: string, bytes: Uint8Array): Promise<void> {
  await using file = await openExisting(disk, path).then(async (existing) => {
    if (existing) return existing
    await disk.makeFolder(folder)
    return disk.openWrite(path, 'create')
  })
  await file.write([bytes], await file.length())
  await file.sync()
  // Also for an existing file: the agent that created it may have died before this step.
  await disk.syncFolder(folder)
}

async function openExisting(disk: Disk, path: string) {
  try {
    return await disk.openWrite(path, 'existing')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Yields the lines of one file in groups of at most LINES_AT_ONCE, and undefined for bytes that are no line. Holds one window in memory. */
async function* readLines({ disk, clock, folder }: LedgerDeps, name: string): AsyncGenerator<(string | undefined)[]> {
  const budget = createLoopBudget(clock)
  await using file = await disk.openRead(join(folder, name))
  const decoder = new TextDecoder()
  const window = new Uint8Array(WINDOW_BYTES)
  let held = 0
  for (let position = 0; ;) {
    const count = await file.read(window.subarray(held), position)
    position += count
    const filled = window.subarray(0, held + count)
    let start = 0
    let lines: (string | undefined)[] = []
    for (let end = filled.indexOf(LINE_FEED); end >= 0; end = filled.indexOf(LINE_FEED, start)) {
      if (end > start) lines.push(decoder.decode(filled.subarray(start, end)))
      start = end + 1
      if (lines.length < LINES_AT_ONCE) continue
      yield lines
      lines = []
      await budget.spend()
    }
    if (lines.length > 0) yield lines
    held = filled.byteLength - start
    // The last record is torn, or garbage without a line feed fills more than any record.
    if (count === 0 || held > RECORD_BYTES_MAX) {
      if (held > 0) yield [undefined]
      held = 0
    } else window.copyWithin(0, start, filled.byteLength)
    if (count === 0) return
  }
}
