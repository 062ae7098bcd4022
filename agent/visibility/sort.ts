// Sorts the fingerprints of a manifest's slices: in several passes over a long manifest, so that memory stays bounded, and in steps, so that
// the event loop stays responsive.

import { MANIFEST_ENTRY_BYTES } from '../../protocol/slices/manifest.ts'
import { fingerprintWord } from './run-layout.ts'

/** Fingerprints sorted in memory at once: 24 bytes each, 36 MiB while the buffer grows. */
export const PASS_ROWS = 1024 * 1024
/** Entries read, or rows moved, between two pauses: a few milliseconds. */
const STEP_ROWS = 65_536
const WORD_SPAN = 0x1_0000_0000
/** Radix sort by 16 bits at a time, least significant first. It is infeasible to create many digests that agree in all 48 bits. */
const DIGIT_VALUES = 65_536
const DIGITS: readonly ((rows: Uint32Array, at: number) => number)[] = [
  (rows, at) => rows[at + 1]! >>> 16,
  (rows, at) => rows[at]! & 0xffff,
  (rows, at) => rows[at]! >>> 16,
]
/** Initial capacity in rows. */
const FIRST_ROWS = 4096
/** Passes are planned for a little less than their capacity, because digests do not spread quite evenly. */
const PASS_SLACK = 1.25

/** Yields the entries of a manifest, as stored, in windows of whole entries; called once for each pass. */
export type ReadWindows = () => AsyncIterable<Uint8Array>

/** Yields the distinct fingerprints of a manifest's slices in order, three words each. Each array is valid until the next one is requested. */
export async function* sortedFingerprints(read: ReadWindows, pause: () => Promise<void>, passRows = PASS_ROWS): AsyncGenerator<Uint32Array> {
  const whole = await gather(read, { from: 0, to: WORD_SPAN, rowsMax: passRows }, pause)
  if (whole.count <= passRows) {
    yield await sortRows(whole.rows, pause)
    return
  }
  const passes = Math.ceil((whole.count * PASS_SLACK) / passRows)
  for (let pass = 0; pass < passes; pass++) {
    const from = Math.floor((pass * WORD_SPAN) / passes)
    const to = Math.floor(((pass + 1) * WORD_SPAN) / passes)
    yield await sortRows((await gather(read, { from, to, rowsMax: Number.POSITIVE_INFINITY }, pause)).rows, pause)
  }
}

/** The fingerprints of one pass: those whose first word is in [from, to), up to a number of rows. */
interface Pass {
  readonly from: number
  readonly to: number
  readonly rowsMax: number
}

/** Returns the fingerprints of a pass, unsorted, and how many there would be without its limit. */
async function gather(read: ReadWindows, { from, to, rowsMax }: Pass, pause: () => Promise<void>): Promise<{ rows: Uint32Array; count: number }> {
  let words = new Uint32Array(3 * FIRST_ROWS)
  let count = 0
  let steps = 0
  for await (const window of read()) {
    steps += window.byteLength / MANIFEST_ENTRY_BYTES
    if (steps >= STEP_ROWS) {
      steps = 0
      await pause()
    }
    for (let at = 8; at < window.byteLength; at += MANIFEST_ENTRY_BYTES) {
      const first = fingerprintWord(window, at)
      if (first < from || first >= to) continue
      const second = fingerprintWord(window, at + 4)
      const third = fingerprintWord(window, at + 8)
      // A zero run; no slice is known whose digest begins with 96 zero bits.
      if (first === 0 && second === 0 && third === 0) continue
      if (++count > rowsMax) continue
      if (3 * count > words.length) {
        const grown = new Uint32Array(words.length * 2)
        grown.set(words)
        words = grown
      }
      const row = 3 * (count - 1)
      words[row] = first
      words[row + 1] = second
      words[row + 2] = third
    }
  }
  return { rows: words.subarray(0, 3 * Math.min(count, rowsMax)), count }
}

/** Sorts rows by their first 48 bits, digit by digit, then the few that agree in these; drops repeated rows. */
async function sortRows(rows: Uint32Array, pause: () => Promise<void>): Promise<Uint32Array> {
  const count = rows.length / 3
  const inSteps = async (run: (row: number) => void): Promise<void> => {
    for (let row = 0; row < count; row++) {
      run(row)
      if ((row + 1) % STEP_ROWS === 0) await pause()
    }
  }
  let from = rows
  let to: Uint32Array = new Uint32Array(rows.length)
  for (const digitOf of DIGITS) {
    const places = new Uint32Array(DIGIT_VALUES + 1)
    await inSteps((row) => void (places[digitOf(from, 3 * row) + 1]! += 1))
    for (let digit = 0; digit < DIGIT_VALUES; digit++) places[digit + 1]! += places[digit]!
    await inSteps((row) => {
      const digit = digitOf(from, 3 * row)
      const at = 3 * places[digit]!
      places[digit]! += 1
      to[at] = from[3 * row]!
      to[at + 1] = from[3 * row + 1]!
      to[at + 2] = from[3 * row + 2]!
    })
    ;[from, to] = [to, from]
  }
  await inSteps((row) => insert(from, row))
  let kept = 0
  await inSteps((row) => {
    if (row > 0 && compareRows(from, row, kept - 1) === 0) return
    if (row !== kept) from.copyWithin(3 * kept, 3 * row, 3 * row + 3)
    kept++
  })
  return from.subarray(0, 3 * kept)
}

/** Moves a row back to its position among the sorted rows before it; almost never by more than one, see DIGITS. */
function insert(rows: Uint32Array, row: number): void {
  if (row === 0 || compareRows(rows, row - 1, row) <= 0) return
  const at = 3 * row
  const [first, second, third] = [rows[at]!, rows[at + 1]!, rows[at + 2]!]
  let to = at
  while (to > 0 && (rows[to - 3]! - first || rows[to - 2]! - second || rows[to - 1]! - third) > 0) to -= 3
  rows.copyWithin(to + 3, to, at)
  rows[to] = first
  rows[to + 1] = second
  rows[to + 2] = third
}

function compareRows(rows: Uint32Array, a: number, b: number): number {
  return rows[3 * a]! - rows[3 * b]! || rows[3 * a + 1]! - rows[3 * b + 1]! || rows[3 * a + 2]! - rows[3 * b + 2]!
}
