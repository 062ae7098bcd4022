// Recovery: brings the index database in line with the packs when the store is opened. Reads the packs that the index does not have as
// sealed, or all packs when the index is new; cuts torn tails and reports damage.

import { dirname, join } from 'node:path'
import { errorText } from '../../../protocol/errors.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Log } from '../../contract/runtime.ts'
import type { IndexRecovery } from '../index/index-roles.ts'
import { isIndexDamaged } from '../index/index-unusable.ts'
import type { PackName } from '../packs/pack-format.ts'
import { PACK_HEADER_BYTES, packPath, parsePackFile } from '../packs/pack-format.ts'
import { readPack } from '../packs/pack-scan.ts'
import { sealPack } from '../write/seal-packs.ts'
import type { UnsealedPack } from '../write/seal-packs.ts'
import { PACK_SEAL_RECORDS } from '../packs/parameters.ts'
import type { Quarantine } from './quarantine.ts'

export interface RecoverDeps {
  readonly disk: Disk
  readonly log: Log
  /** The `packs` folder. */
  readonly folder: string
  readonly index: IndexRecovery
  readonly quarantine: Quarantine
  /** Length from which an unsealed pack is sealed instead of resumed. */
  readonly sealBytes: number
}

export interface RecoverReport {
  /** Packs that were read because the index database did not have them as sealed. */
  readonly packsRead: number
  readonly slicesFound: number
  readonly bytesFound: number
  /** Bytes of torn tails that were cut. */
  readonly tornBytes: number
  /** Packs that the index database named and that are not on disk. */
  readonly packsMissing: readonly PackName[]
  /** Damage, one sentence each. */
  readonly faults: readonly string[]
  /** The unsealed pack to resume, if there is one. */
  readonly unsealed: UnsealedPack | undefined
  /** Packs that could not be sealed. */
  readonly abandoned: readonly UnsealedPack[]
  /** Packs that could not be read; `recoverLeftOut` tries them again. */
  readonly leftOut: ReadonlySet<PackName>
}

interface Tally {
  readonly leftOut: Set<PackName>
  packsRead: number
  slicesFound: number
  bytesFound: number
  tornBytes: number
  readonly faults: string[]
  readonly unsealed: UnsealedPack[]
}

/** Reads the packs that must be read and corrects the index. A damaged pack does not affect the others. */
export async function recoverIndex(deps: RecoverDeps): Promise<RecoverReport> {
  const { disk, index, quarantine } = deps
  const onDisk = await listPacks(deps)
  const byName = new Map([...index.packs()].map((pack) => [pack.name, pack]))
  const tally = newTally()
  const folders = new Set([deps.folder])
  for (const [name, length] of onDisk) {
    const known = byName.get(name)
    if (known?.sealed && known.length === length) continue
    // A sealed pack of another length is not the pack that was indexed: its rows are dropped.
    if (known?.sealed) index.removePack(known.id)
    folders.add(dirname(join(deps.folder, packPath(name))))
    try {
      tally.unsealed.push(...(await recoverPack(deps, name, length, tally)))
    } catch (error) {
      if (isIndexDamaged(error)) throw error
      // A pack that cannot be read must not keep the others from being used.
      deps.log.error('a pack cannot be read and is left out', { pack: name, error })
      tally.faults.push(`Pack ${name} cannot be read: ${errorText(error)}.`)
      tally.leftOut.add(name)
    }
    if (index.isFlushDue) await index.flush()
  }
  // A process that was killed may have created names without syncing them.
  for (const folder of folders) await disk.syncFolder(folder)
  const packsMissing = [...byName.values()].filter(({ name }) => !onDisk.has(name))
  for (const { id } of packsMissing) index.removePack(id)
  if (packsMissing.length > 0) {
    const lost = await index.removeOrphans()
    if (lost > 0) tally.faults.push(`${packsMissing.length} packs are gone from the mount path and ${lost} slices with them; scrub names the images.`)
  }
  const { resumable, abandoned } = await sealAllButOne(deps, tally)
  await index.flush()
  dropQuarantined(index, quarantine)
  const { packsRead, slicesFound, bytesFound, tornBytes, faults, leftOut } = tally
  return { packsRead, slicesFound, bytesFound, tornBytes, packsMissing: packsMissing.map(({ name }) => name), faults, unsealed: resumable, abandoned, leftOut }
}

/** Reads packs again that could not be read, and seals those that can be read now. Returns the ones that still cannot be read or sealed. */
export async function recoverLeftOut(deps: RecoverDeps, leftOut: ReadonlySet<PackName>): Promise<Pick<RecoverReport, 'leftOut' | 'abandoned'>> {
  const { disk, folder, index, log } = deps
  const tally = newTally()
  for (const name of leftOut) {
    const path = join(folder, packPath(name))
    try {
      const stat = await disk.stat(path)
      if (stat) tally.unsealed.push(...(await recoverPack(deps, name, stat.length, tally)))
      await disk.syncFolder(dirname(path))
    } catch (error) {
      if (isIndexDamaged(error)) throw error
      log.warn('a pack still cannot be read', { pack: name, error })
      tally.leftOut.add(name)
    }
  }
  const abandoned = await sealEach(deps, tally.unsealed)
  await index.flush()
  dropQuarantined(index, deps.quarantine)
  return { leftOut: tally.leftOut, abandoned }
}

function newTally(): Tally {
  return { leftOut: new Set(), packsRead: 0, slicesFound: 0, bytesFound: 0, tornBytes: 0, faults: [], unsealed: [] }
}

/** Removes the rows of quarantined records, which an index from before their discovery may still have. */
function dropQuarantined(index: IndexRecovery, quarantine: Quarantine): void {
  const ids = new Map([...index.packs()].map(({ name, id }) => [name, id]))
  for (const { digest, pack, offset } of quarantine.all()) {
    const id = ids.get(pack)
    if (id !== undefined) index.removeAll([{ digest: Buffer.from(digest.slice(7), 'hex'), pack: id, offset }])
  }
}

/** Returns the packs on disk with the lengths of their files. */
async function listPacks({ disk, folder }: RecoverDeps): Promise<Map<PackName, number>> {
  const packs = new Map<PackName, number>()
  for (const part of await disk.list(folder)) {
    if (!/^[0-9a-f]{2}$/.test(part)) continue
    for (const file of await disk.list(join(folder, part))) {
      const name = parsePackFile(file)
      const stat = name === undefined ? undefined : await disk.stat(join(folder, part, file))
      if (name !== undefined && stat?.kind === 'file') packs.set(name, stat.length)
    }
  }
  return packs
}

/**
 * Reads one pack, adds its rows to the index, and cuts a torn tail. Returns the pack if it is not sealed. When it throws, also because the file could not be
 * closed, the pack is left out: one that was resumed as well would be sealed under the writer when it is read again.
 */
async function recoverPack(deps: RecoverDeps, name: PackName, length: number, tally: Tally): Promise<UnsealedPack[]> {
  const path = join(deps.folder, packPath(name))
  await using file = await deps.disk.openWrite(path, 'existing')
  // A process that was killed may have written without syncing; the contents count as stored from here on.
  await file.sync()
  const contents = await readPack(file)
  tally.packsRead++
  for (const fault of contents.faults) tally.faults.push(`In pack ${name}: ${fault}.`)
  if (contents.rows.length === 0 && contents.bad.length === 0) {
    // A file whose header is not that of a pack of this version is neither cut nor removed.
    if (contents.faults.length === 0 || length <= PACK_HEADER_BYTES) await removeEmpty(deps, name, length, tally)
    return []
  }
  const { id } = deps.index.addPack(name)
  deps.index.add(
    id,
    contents.rows.filter((row) => !deps.quarantine.has(row.digest, name, row.offset)),
  )
  tally.slicesFound += contents.rows.length
  for (const row of contents.rows) tally.bytesFound += row.storedLength
  // Damaged stretches are neither in the index nor in the table that the pack will get, so they are never used again.
  for (const { offset, length: badLength } of contents.bad)
    tally.faults.push(`Pack ${name} has ${badLength} bytes at offset ${offset} that are not a whole record.`)
  if (contents.sealed) {
    deps.index.sealPack(id, length)
    return []
  }
  if (contents.tornBytes > 0) {
    await file.truncate(contents.end)
    await file.sync()
    countTorn(deps, name, contents.tornBytes, tally)
  }
  return [{ id, name, length: contents.end, rows: contents.rows }]
}

/** Removes a pack that was created just before a crash and has at most a torn record. */
async function removeEmpty(deps: RecoverDeps, name: PackName, length: number, tally: Tally): Promise<void> {
  if (length > PACK_HEADER_BYTES) countTorn(deps, name, length - PACK_HEADER_BYTES, tally)
  await deps.disk.remove(join(deps.folder, packPath(name)))
  for (const pack of [...deps.index.packs()]) if (pack.name === name) deps.index.removePack(pack.id)
}

function countTorn(deps: RecoverDeps, name: PackName, bytes: number, tally: Tally): void {
  tally.tornBytes += bytes
  deps.log.warn('the torn tail of a pack was cut', { pack: name, bytes })
}

/** Picks the longest unsealed pack that has room as the one to resume, and seals the others. */
async function sealAllButOne(deps: RecoverDeps, tally: Tally): Promise<{ resumable: UnsealedPack | undefined; abandoned: UnsealedPack[] }> {
  const [first, ...rest] = tally.unsealed.toSorted((a, b) => b.length - a.length)
  const resumable = first && first.length < deps.sealBytes && first.rows.length < PACK_SEAL_RECORDS ? first : undefined
  return { resumable, abandoned: await sealEach(deps, resumable ? rest : tally.unsealed) }
}

/** Seals packs; returns those that could not be sealed. */
async function sealEach(deps: RecoverDeps, packs: readonly UnsealedPack[]): Promise<UnsealedPack[]> {
  const abandoned: UnsealedPack[] = []
  for (const pack of packs) if ((await sealPack(deps, pack)) === undefined) abandoned.push(pack)
  return abandoned
}
