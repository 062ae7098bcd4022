// The file of the catalogue snapshot in the state folder: one line for each entry, each with a checksum. A line that is damaged is skipped.
//
//   slipway catalogue snapshot 2 <key>\n
//   <xxHash64, 16 hex digits> ["<id>",[<identity>],<value>]\n
//   …

import type { Disk, DiskFile } from '../../contract/disk.ts'

const TITLE = 'slipway catalogue snapshot 2'
const PIECE_BYTES = 1024 * 1024
/** Longest line in bytes. A longer one is damage, and is not collected in memory. */
const LINE_BYTES_MAX = 8 * 1024 * 1024
const CHECKSUM_LENGTH = 16
const LINE_FEED = 10

/** One entry: what was read of the files of an image while they had this identity. */
export interface SnapshotEntry {
  readonly id: string
  readonly identity: readonly number[]
  readonly value: unknown
}

export interface SnapshotLine extends SnapshotEntry {
  /** Returns the line with its checksum and line feed, for a copy into the next snapshot. */
  text(): string
}

export interface SnapshotPlace {
  readonly disk: Disk
  readonly path: string
  /** Differs between programs that read or write values differently. A snapshot with another key has no entries. */
  readonly key: string
}

/** Yields the entries of a snapshot, about a megabyte at a time. A missing or damaged file has no entries. Throws disk errors. */
export async function* readSnapshotFile({ disk, path, key }: SnapshotPlace): AsyncGenerator<SnapshotLine[]> {
  if ((await disk.stat(path)) === undefined) return
  await using file = await disk.openRead(path)
  const buffer = Buffer.alloc(PIECE_BYTES)
  let rest = Buffer.alloc(0)
  let isFirst = true
  for (let position = 0; ;) {
    const count = await file.read(buffer, position)
    if (count === 0) return
    position += count
    const bytes = Buffer.concat([rest, buffer.subarray(0, count)])
    const lines: SnapshotLine[] = []
    let from = 0
    for (let to = bytes.indexOf(LINE_FEED); to >= 0; from = to + 1, to = bytes.indexOf(LINE_FEED, from)) {
      const line = bytes.subarray(from, to)
      if (isFirst && line.toString() !== titleOf(key)) return
      const parsed = isFirst ? undefined : parseLine(line)
      isFirst = false
      if (parsed) lines.push(parsed)
    }
    rest = bytes.subarray(from)
    if (rest.byteLength > LINE_BYTES_MAX) return
    yield lines
  }
}

function titleOf(key: string): string {
  return `${TITLE} ${key}`
}

function parseLine(line: Buffer): SnapshotLine | undefined {
  const body = line.subarray(CHECKSUM_LENGTH + 1)
  if (line.subarray(0, CHECKSUM_LENGTH).toString('latin1') !== checksumOf(body)) return undefined
  const [id, identity, value] = JSON.parse(body.toString()) as [string, number[], unknown]
  return { id, identity, value, text: () => `${line.toString()}\n` }
}

function checksumOf(bytes: Uint8Array): string {
  return Bun.hash.xxHash64(bytes).toString(16).padStart(CHECKSUM_LENGTH, '0')
}

/** Returns the line of an entry. */
export function formatLine({ id, identity, value }: SnapshotEntry): string {
  const body = JSON.stringify([id, identity, value])
  return `${checksumOf(Buffer.from(body))} ${body}\n`
}

/** Replaces a snapshot. Nothing changes before `finish`. Disposing closes the incomplete file. */
export interface SnapshotWriter extends AsyncDisposable {
  add(line: string): Promise<void>
  /** Resolves when the new snapshot is durable. */
  finish(): Promise<void>
}

/** Begins a new snapshot in a temporary file. Throws disk errors. */
export async function openSnapshotWriter({ disk, path, key }: SnapshotPlace): Promise<SnapshotWriter> {
  const temporary = `${path}.tmp`
  await disk.remove(temporary)
  const file: DiskFile = await disk.openWrite(temporary, 'create')
  let pending: string[] = [`${titleOf(key)}\n`]
  let pendingLength = 0
  let position = 0
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(pending.join(''))
    pending = []
    pendingLength = 0
    const at = position
    // Several callers may flush at a time.
    position += bytes.byteLength
    await file.write([bytes], at)
  }
  return {
    async add(line) {
      pending.push(line)
      pendingLength += line.length
      if (pendingLength >= PIECE_BYTES) await flush()
    },
    async finish() {
      await flush()
      await file.sync()
      await disk.rename(temporary, path)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}
