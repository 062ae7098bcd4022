// Files of this machine: the console's history, and images that are sent.

import { open } from 'node:fs/promises'
import { appendFileSync, chmodSync, createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { ReadStream } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errorText } from '../../protocol/errors.ts'
import { problem } from '../../protocol/problems.ts'

export interface LocalFile {
  readonly path: string
  readonly length: number
  readonly modifiedMs: number
  open(): ReadStream
  /** Opens it for reading at any place. */
  openReader(): Promise<LocalFileReader>
}

/** A file that is open for reading; closed when disposed. */
export interface LocalFileReader extends AsyncDisposable {
  /** Fills the buffer from a place on, as far as the file goes; gives how many bytes it got. */
  read(buffer: Uint8Array, position: number): Promise<number>
  /** Whether the file is as it was when it was looked at: of the same length, and not written to since. */
  isUnchanged(): Promise<boolean>
}

/** Looks at a file that shall be sent. Throws ProblemError when it is none, or cannot be read. */
export function openLocalFile(path: string): LocalFile {
  const absolute = resolve(path)
  let stat
  try {
    stat = statSync(absolute)
  } catch (error) {
    throw problem('not-found', `${absolute} cannot be read: ${errorText(error)}.`, { action: 'Check the path.' }, { cause: error })
  }
  if (!stat.isFile()) throw problem('invalid-input', `${absolute} is not a file.`, { action: 'Give the path of an image file.' })
  if (stat.size === 0) throw problem('invalid-input', `${absolute} is empty.`, { action: 'Give the path of an image file with content.' })
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

/** Lines of the history that are kept. */
const HISTORY_LINES_MAX = 1000

export interface History {
  /** Newest first, as node:readline wants them. */
  readonly lines: string[]
  add(line: string): void
}

/** The console's history in a file of its owner alone. Lines with a secret are left out. */
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
