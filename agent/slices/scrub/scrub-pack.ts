// Scrub of one pack: verifies its frame and every record in it, and corrects the index where it disagrees with the pack.

import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { DiskFile } from '../../contract/disk.ts'
import type { CorrectableIndex } from '../index/index-roles.ts'
import { hasRecord, indexedRows } from '../index/indexed-record.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackRow } from '../packs/pack-format.ts'
import { PACK_HEADER_BYTES, packHeaderFault, recordLength } from '../packs/pack-format.ts'
import type { PackContents } from '../packs/pack-scan.ts'
import { readSealed, walkPack } from '../packs/pack-scan.ts'
import { recordFault } from '../packs/record-check.ts'
import type { PackEntry } from '../packs/slice-row.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import type { Findings } from './findings.ts'
import { addFinding } from './findings.ts'

export interface ScrubPackDeps {
  readonly index: CorrectableIndex
  readonly files: PackFiles
  readonly quarantine: Quarantine
  readonly pause: () => Promise<void>
}

/** A pack that is being scrubbed. */
export interface PackUnderScrub {
  readonly pack: PackEntry
  readonly file: DiskFile
  readonly findings: Findings
}

/** Scrubs one pack; `step` is awaited after each record with its length in bytes. */
export async function scrubPack(deps: ScrubPackDeps, under: PackUnderScrub, step: (bytes: number) => Promise<void>): Promise<void> {
  const { pack, file, findings } = under
  const length = await file.length()
  const header = Buffer.alloc(PACK_HEADER_BYTES)
  await file.read(header, 0)
  const headerFault = packHeaderFault(header)
  if (headerFault) addFinding(findings.faults, `Pack ${pack.name} ${headerFault}; its slices are still read by their records.`)
  const sealed = await readSealed(file, length)
  if (pack.sealed && !sealed) addFinding(findings.faults, `The table of contents of pack ${pack.name} is damaged; its slices are still read by their records.`)
  const contents = sealed ?? (await walkPack(file))
  for (const row of contents.rows) {
    const fault = await recordFault(file, row)
    findings.slices++
    findings.bytes += recordLength(row)
    if (fault) await reportCorrupt(deps, under, row, fault)
    else await correctRow(deps, pack, row)
    await step(recordLength(row))
  }
  if ('bad' in contents) await checkUnread(deps, under, contents)
}

/** Corrects the row of the index for a slice that is intact in this pack: where the two disagree, the index is damaged. */
async function correctRow(deps: ScrubPackDeps, pack: PackEntry, row: PackRow): Promise<void> {
  const at = deps.index.find(row.digest)
  if (!at) return
  if (at.pack === pack.id && at.offset === row.offset) {
    if (at.length === row.length && at.storedLength === row.storedLength) return
  } else if (await hasRecord(deps, row.digest, at)) return
  const again = deps.index.find(row.digest)
  // gc may have moved the slice meanwhile.
  if (!again || again.pack !== at.pack || again.offset !== at.offset || !deps.index.pack(pack.id)) return
  deps.index.distrust(`it had a wrong location for a slice of pack ${pack.name}`)
  deps.index.add(pack.id, [row])
}

/**
 * Verifies the records that the index has in the pack and that a walk over the pack did not find intact, those beyond the end of a file that was
 * cut off included. A record that was appended since the walk is intact, because the index names it only after its bytes were written.
 */
async function checkUnread(deps: ScrubPackDeps, under: PackUnderScrub, { rows, bad, tornBytes }: PackContents): Promise<void> {
  if (bad.length === 0 && tornBytes === 0) return
  const found = new Set(rows.map((row) => row.offset))
  for await (const row of indexedRows(deps.index, under.pack.id, deps.pause)) {
    if (found.has(row.offset)) continue
    const fault = await recordFault(under.file, row)
    if (fault) await reportCorrupt(deps, under, row, fault)
  }
}

async function reportCorrupt(deps: ScrubPackDeps, { pack, findings }: PackUnderScrub, row: PackRow, reason: string): Promise<void> {
  const at = deps.index.find(row.digest)
  const isQuarantined = deps.quarantine.has(row.digest, pack.name, row.offset)
  // A damaged record that the index does not name is garbage for the next gc, unless it is the quarantined record of a slice that is now missing.
  if (at ? at.pack !== pack.id || at.offset !== row.offset : !isQuarantined) return
  const { offset, length, storedLength } = row
  if (!isQuarantined) await deps.quarantine.add(row.digest, { pack: pack.id, offset, length, storedLength }, reason)
  addFinding(findings.corrupt, { digest: formatDigest(row.digest), pack: pack.name, offset })
}
