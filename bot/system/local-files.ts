// Files of this machine: the history of the console, images to upload, and what commands export.

import { link, open, unlink } from 'node:fs/promises'
import { appendFileSync, chmodSync, createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { ReadStream } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errorText, hasCode } from '../../protocol/errors.ts'
import { problem } from '../../protocol/problems.ts'

export interface LocalFile {
  readonly path: string
  readonly length: number
  readonly modifiedMs: number
  open(): ReadStream
  /** Opens it for reading at any offset. */
  openReader(): Promise<LocalFileReader>
}

/** A file that is open for reading until it is disposed. */
export interface LocalFileReader extends AsyncDisposable {
  /** Fills the buffer from an offset on; returns the number of bytes read, which is smaller at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>
  /** Whether length and modification time are still those that `openLocalFile` found. */
  isUnchanged(): Promise<boolean>
}

/** Describes a file to upload. Throws ProblemError when it is not a file, is empty or cannot be read. */
export function openLocalFile(path: string): LocalFile {
  const absolute = resolve(path)
  let stat
  try {
    stat = statSync(absolute)
  } catch (error) {
    throw problem('not-found', `${absolute} cannot be read: ${errorText(error)}.`, { action: 'Check the path and its permissions.' }, { cause: error })
  }
  if (!stat.isFile()) throw problem('invalid-input', `${absolute} is not a file.`, { action: 'Use the path of an image file.' })
  if (stat.size === 0) throw problem('invalid-input', `${absolute} is empty.`, { action: 'Use the path of an image file with content.' })
  const { size: length, mtimeMs } = stat
  return {
    path: absolute,
    length,
    modifiedMs: Math.floor(mtimeMs),
    open: () => createReadStream(absolute),
    openReader: () => openReader(absolute, { length, mtimeMs }),
  }
}

async function openReader(path: string, seen: { readonly length: number; readonly mtimeMs: number }): Promise<LocalFileReader> {
  const file = await open(path)
  return {
    async read(buffer, position) {
      let filled = 0
      while (filled < buffer.byteLength) {
        const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, position + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return filled
    },
    async isUnchanged() {
      const { size, mtimeMs } = await file.stat()
      return size === seen.length && mtimeMs === seen.mtimeMs
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}

/** Writes a new file that only its owner can read, completely or not at all. Throws ProblemError when it exists or cannot be written. */
export async function writeLocalFile(path: string, pieces: AsyncIterable<string | Uint8Array>): Promise<{ readonly path: string; readonly length: number }> {
  const absolute = resolve(path)
  const temporary = `${absolute}.${crypto.randomUUID()}.partial`
  try {
    const length = await writePieces(temporary, pieces)
    try {
      // A link, unlike a rename, does not replace a file that is there.
      await link(temporary, absolute)
    } finally {
      await unlink(temporary)
    }
    await using folder = await open(dirname(absolute))
    await folder.sync()
    return { path: absolute, length }
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw problem('conflict', `${absolute} exists.`, { action: 'Name a new file.' }, { cause: error })
    throw problem('invalid-input', `${absolute} cannot be written: ${errorText(error)}.`, { action: 'Check the folder and its permissions.' }, { cause: error })
  }
}

async function writePieces(path: string, pieces: AsyncIterable<string | Uint8Array>): Promise<number> {
  const file = await open(path, 'wx', 0o600)
  let length = 0
  try {
    for await (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
      await file.writeFile(bytes)
      length += bytes.byteLength
    }
    await file.datasync()
  } catch (error) {
    await unlink(path)
    throw error
  } finally {
    await file.close()
  }
  return length
}

/** Lines that the history keeps. */
const HISTORY_LINES_MAX = 1000

export interface History {
  /** The newest lines first, as node:readline expects them. */
  readonly lines: string[]
  add(line: string): void
}

/** Opens the history of the console, a file that only its owner can read. Lines with a token are not recorded. */
export function openHistory(path: string): History {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const all = existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : []
  const kept = all.slice(-HISTORY_LINES_MAX)
  writeFileSync(path, kept.map((line) => `${line}\n`).join(''), { mode: 0o600 })
  chmodSync(path, 0o600)
  return {
    lines: kept.toReversed(),
    add(line) {
      if (!/(?:^|\s|--)token=|--token\b/i.test(line)) appendFileSync(path, `${line}\n`)
    },
  }
}
