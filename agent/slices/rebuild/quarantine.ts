// Quarantine: records that are damaged. Each has a file on the mount path, so that a rebuilt index database does not use the record again.
// Its row leaves the index, so that the slice can be stored again, which repairs its images.

import { join } from 'node:path'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { SliceIndex } from '../index/index-roles.ts'
import type { Location } from '../packs/slice-row.ts'

/** Longest file read from the quarantine folder. */
const ENTRY_LENGTH_MAX = 64 * 1024
const SUFFIX = '.slice.json'

/** A damaged record: its location, why it is not trusted, and when its slice was repaired or was no longer needed. */
export interface QuarantinedSlice {
  readonly digest: string
  readonly pack: string
  readonly offset: number
  readonly reason: string
  readonly foundAt: string
  readonly healedAt: string | null
}

export interface Quarantine {
  /** Damaged records whose slice is still needed and has no intact copy. */
  readonly count: number
  has(digest: Uint8Array, pack: string, offset: number): boolean
  /** The records that `count` counts. */
  list(): QuarantinedSlice[]
  /** All records, including those of repaired slices: a damaged record must never be used again. */
  all(): QuarantinedSlice[]
  /** Quarantines a damaged record. Resolves when that is durable. */
  add(digest: Uint8Array, location: Location, reason: string): Promise<void>
  /**
   * Marks the entries whose slice was repaired or is no longer needed, and deletes those of them whose pack is gone. `isMissing` returns whether
   * a root names a slice that no pack has.
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

/** Reads the quarantine folder. Entries that cannot be read are ignored. */
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
      log.warn('a quarantine entry cannot be read and is ignored', { file: name, error })
    }
  }

  const write = async (key: string, entry: QuarantinedSlice): Promise<void> => {
    entries.set(key, entry)
    try {
      await disk.makeFolder(folder)
      await disk.writeFileAtomic(fileOf(key), `${JSON.stringify(entry)}\n`)
    } catch (error) {
      // Without the file, the damage is found again after the next rebuild of the index: later, but never silently ignored.
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
      log.error('a slice is damaged and was quarantined', { ...entry })
      await write(key, entry)
    },

    async settle(isMissing) {
      const packs = new Set([...index.packs()].map(({ name }) => name))
      for (const [key, entry] of [...entries]) {
        // A repair may have stored the slice again after the caller looked.
        const isSettled = !isMissing(entry.digest) || index.find(Buffer.from(entry.digest.slice(7), 'hex')) !== undefined
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
  const entry = JSON.parse(text) as Partial<Record<keyof QuarantinedSlice, unknown>> | null
  const { digest, pack, offset, reason, foundAt, healedAt } = entry ?? {}
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest) || typeof pack !== 'string' || typeof offset !== 'number')
    throw new Error('not a quarantine entry')
  return { digest, pack, offset, reason: String(reason), foundAt: String(foundAt), healedAt: typeof healedAt === 'string' ? healedAt : null }
}
