// Tables of an image file, read in pages that are kept for a while: tables are read in small pieces, and a piece is needed many times.

import { damagedTables } from './guest-disk.ts'
import type { SourceFile } from './guest-disk.ts'

/** Bytes that are read together. Tables begin at multiples of 512, so no entry crosses the end of a page. */
export const PAGE_BYTES = 64 * 1024
/** Pages that one reader keeps: 2 MiB, whatever the image says about the length of its tables. */
const PAGES_MAX = 32

/** A page and the offset in the file at which it begins. */
export interface FilePage {
  readonly at: number
  readonly bytes: Buffer
}

export interface FilePages {
  /** Returns the page that has the byte at an offset. Throws ProblemError `unsafe-image` when the offset is not in the file. */
  page(offset: number, signal?: AbortSignal): Promise<FilePage>
  /** Returns a copy of `length` bytes. Throws ProblemError `unsafe-image` when they are not in the file. */
  bytes(offset: number, length: number, signal?: AbortSignal): Promise<Buffer>
}

/** Creates the pages of a file; `what` names what they hold in errors. */
export function createFilePages(file: SourceFile): FilePages {
  const pages = new Map<number, FilePage>()

  const load = async (at: number, signal: AbortSignal | undefined): Promise<FilePage> => {
    const end = Math.min(at + PAGE_BYTES, file.length)
    const bytes = Buffer.alloc(end - at)
    let filled = 0
    for await (const piece of file.read(at, end, signal)) {
      bytes.set(piece, filled)
      filled += piece.byteLength
    }
    return { at, bytes }
  }
  const page = async (offset: number, signal?: AbortSignal): Promise<FilePage> => {
    if (!(offset >= 0 && offset < file.length)) throw damagedTables(`a table lies outside of the file, at ${offset}`)
    const at = offset - (offset % PAGE_BYTES)
    const found = pages.get(at) ?? (await load(at, signal))
    pages.delete(at)
    pages.set(at, found)
    for (const oldest of pages.keys()) {
      if (pages.size <= PAGES_MAX) break
      pages.delete(oldest)
    }
    return found
  }
  return {
    page,
    async bytes(offset, length, signal) {
      if (!(offset >= 0 && offset + length <= file.length)) throw damagedTables(`${length} bytes at ${offset} lie outside of the file`)
      const found = Buffer.alloc(length)
      for (let filled = 0; filled < length;) {
        const { at, bytes } = await page(offset + filled, signal)
        const from = offset + filled - at
        filled += bytes.copy(found, filled, from, from + length - filled)
      }
      return found
    },
  }
}
