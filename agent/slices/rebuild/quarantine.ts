// Quarantine: slices whose record is damaged. Each has a file on the mount path, so that a rebuilt index database does not
// count on it again; its row leaves the index, so that the same slice can be stored anew and heals its images.

import { join } from 'node:path'
import { formatDigest } from '../../../protocol/digest.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { SliceIndex } from '../index/index-roles.ts'
import type { Location } from '../packs/slice-row.ts'

/** Longest file read from the quarantine folder. */
const ENTRY_LENGTH_MAX = 64 * 1024
const SUFFIX = '.slice.json'

/** A damaged record: where it lies, why it is not trusted, and since when its slice is whole elsewhere or needed no more. */
export interface QuarantinedSlice {
  readonly digest: string
  readonly pack: string
  readonly offset: number
  readonly reason: string
  readonly foundAt: string
  readonly healedAt: string | null
}

export interface Quarantine {
  /** Damaged records whose slice is needed and not whole elsewhere. */
  readonly count: number
  has(digest: Uint8Array, pack: string, offset: number): boolean
  /** Those that `count` counts. */
  list(): QuarantinedSlice[]
  /** Also those of slices that are whole again: their records must never be counted on. */
  all(): QuarantinedSlice[]
  /** Takes a damaged record out of use. Resolves when that is durable. */
  add(digest: Uint8Array, location: Location, reason: string): Promise<void>
  /**
   * Marks the entries whose slice is whole again or needed no more, and drops those whose pack is gone, which nobody can meet again.
   * `isMissing` says whether something names a slice that no pack has.
   */
  settle(isMissing: (digest: string) => boolean): Promise<void>
}

export interface QuarantineDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly folder: string
  readonly index: SliceIndex
}

export async function openQuarantine({ disk, clock, log, folder, index }: QuarantineDeps): Promise<Quarantine> {
  const entries = new Map<string, QuarantinedSlice>()
  const keyOf = (digest: string, pack: string, offset: number): string => `${digest.slice(7)}-${pack}-${offset}`
  const fileOf = (key: string): string => join(folder, `${key}${SUFFIX}`)

  for (const name of await disk.list(folder)) {
    if (!name.endsWith(SUFFIX)) continue
    try {
      const entry = parseEntry(new TextDecoder().decode(await disk.readFile(join(folder, name), ENTRY_LENGTH_MAX)))
      entries.set(keyOf(entry.digest, entry.pack, entry.offset), entry)
    } catch (error) {
      log.warn('a quarantine entry cannot be read and is passed over', { file: name, error })
    }
  }

  const write = async (key: string, entry: QuarantinedSlice): Promise<void> => {
    entries.set(key, entry)
    try {
      await disk.makeFolder(folder)
      await disk.writeFileAtomic(fileOf(key), `${JSON.stringify(entry)}\n`)
    } catch (error) {
      // Without the file the damage is found again after the index is rebuilt: later, never unnoticed.
      log.warn('a quarantine entry could not be written', { error, digest: entry.digest })
    }
  }

  const open = (): QuarantinedSlice[] => [...entries.values()].filter(({ healedAt }) => healedAt === null)

  return {
    get count() {
      return open().length
    },
    has: (digest, pack, offset) => entries.has(keyOf(formatDigest(digest), pack, offset)),
    list: open,
    all: () => [...entries.values()],

    async add(digest, location, reason) {
      const pack = index.pack(location.pack)?.name ?? 'unknown'
      index.removeAll([{ digest, pack: location.pack, offset: location.offset }])
      const text = formatDigest(digest)
      const key = keyOf(text, pack, location.offset)
      if (entries.has(key)) return
      const entry = { digest: text, pack, offset: location.offset, reason, foundAt: new Date(clock.nowMs()).toISOString(), healedAt: null }
      log.error('a slice is damaged and was put in quarantine', { ...entry })
      await write(key, entry)
    },

    async settle(isMissing) {
      const packs = new Set([...index.packs()].map(({ name }) => name))
      for (const [key, entry] of [...entries]) {
        const isSettled = !isMissing(entry.digest)
        if (isSettled && !packs.has(entry.pack)) {
          await disk.remove(fileOf(key))
          entries.delete(key)
        } else if (isSettled !== (entry.healedAt !== null)) {
          await write(key, { ...entry, healedAt: isSettled ? new Date(clock.nowMs()).toISOString() : null })
        }
      }
    },
  }
}

function parseEntry(text: string): QuarantinedSlice {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('not an object')
  const entry = value as Partial<Record<keyof QuarantinedSlice, unknown>>
  const { digest, pack, offset, reason, foundAt, healedAt } = entry
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest) || typeof pack !== 'string' || typeof offset !== 'number')
    throw new Error('not a quarantine entry')
  return { digest, pack, offset, reason: String(reason), foundAt: String(foundAt), healedAt: typeof healedAt === 'string' ? healedAt : null }
}
