// A mount path in memory, for the routes of files.

import { parseRelativePath } from '../../../agent/browse/relative-path.ts'
import type { FileBrowser } from '../../../agent/contract/browse.ts'
import type { FileEntry } from '../../../protocol/file.ts'
import { problem } from '../../../protocol/problems.ts'

const MODIFIED = '2026-01-01T00:00:00.000Z'

export interface MemoryFiles extends FileBrowser {
  /** Returns the number of open files. */
  readonly openCount: () => number
}

/** Creates a browser over contents by path. A read beyond `brokenAt` bytes fails with EIO. */
export function createMemoryFiles(contents: Readonly<Record<string, Uint8Array>>, brokenAt = Infinity): MemoryFiles {
  let count = 0
  return {
    openCount: () => count,
    async list(path, { limit, cursor, withheld = [], isSeen = () => true }) {
      if (withheld.includes(parseRelativePath(path)[0] ?? '')) throw problem('forbidden', `${path} is withheld.`)
      const prefix = parseRelativePath(path)
        .map((part) => `${part}/`)
        .join('')
      const entries = new Map<string, FileEntry>()
      for (const [name, bytes] of Object.entries(contents)) {
        if (!name.startsWith(prefix)) continue
        const [first = '', ...rest] = name.slice(prefix.length).split('/')
        if (!isSeen([...parseRelativePath(path), first])) continue
        entries.set(first, { name: first, kind: rest.length > 0 ? 'folder' : 'file', length: rest.length > 0 ? 0 : bytes.byteLength, modifiedAt: MODIFIED })
      }
      if (entries.size === 0 && prefix !== '') throw problem('not-found', `There is no folder ${path}.`)
      const sorted = [...entries.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)).filter(({ name }) => cursor === undefined || name > cursor)
      const items = sorted.slice(0, limit)
      return { items, next: sorted.length > limit ? (items.at(-1)?.name ?? null) : null }
    },
    async open(path) {
      const name = parseRelativePath(path).join('/')
      const bytes = contents[name]
      if (!bytes) throw problem('not-found', `There is no file ${path}.`)
      count++
      let isOpen = true
      return {
        name: name.slice(name.lastIndexOf('/') + 1),
        length: bytes.byteLength,
        modifiedMs: Date.parse(MODIFIED),
        etag: `"${name}-${bytes.byteLength}"`,
        async *read(start, end) {
          for (let at = start; at < end; at += 65_536) {
            if (at >= brokenAt) throw new Error('EIO: i/o error, read')
            yield bytes.subarray(at, Math.min(end, at + 65_536))
          }
        },
        async [Symbol.asyncDispose]() {
          if (isOpen) count--
          isOpen = false
        },
      }
    },
  }
}
