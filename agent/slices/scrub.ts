// Scrub: reads every record of every pack at a bounded rate, verifies checksum and SHA-256, and holds every root against
// what is there. Finds what is damaged or missing before somebody needs it.

import { formatDigest } from '../../protocol/digest.ts'
import { CODEC_ZSTD } from '../../protocol/frames.ts'
import type { DiskFile } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { OnProgress, ScrubReport, SliceRoots } from '../contract/slices.ts'
import type { IndexDatabase } from './index-database.ts'
import { isIndexDamaged } from './index-file.ts'
import type { PackFiles } from './pack-files.ts'
import type { PackRow } from './pack-format.ts'
import { PACK_HEADER_BYTES, packHeaderFault, recordLength } from './pack-format.ts'
import type { PackContents } from './pack-scan.ts'
import { hasRecord, readSealed, walkPack } from './pack-scan.ts'
import type { Quarantine } from './quarantine.ts'
import { decompressSlice } from './receiver.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from './record.ts'
import type { PackEntry, SliceRow } from './slice-row.ts'

/** Most findings of one kind that a report lists; the rest is in the log. */
const FINDINGS_MAX = 1000
const STEP_ENTRIES = 2048

export interface ScrubDeps {
  readonly clock: Clock
  readonly log: Log
  readonly index: IndexDatabase
  readonly files: PackFiles
  readonly quarantine: Quarantine
  readonly roots: readonly SliceRoots[]
  /** Tries again to read packs that could not be read at the start. */
  readonly takeLeftOut: () => Promise<void>
  /** What is wrong with the file of the index database, or undefined. */
  readonly checkIndex: () => Promise<string | undefined>
  readonly pause: () => Promise<void>
}

export interface ScrubOptions {
  readonly bytesPerSecond: number
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

interface Findings {
  slices: number
  bytes: number
  readonly corrupt: { digest: string; pack: string; offset: number }[]
  readonly faults: string[]
}

/** Runs one scrub; see the contract for the report. */
export async function scrubStore(deps: ScrubDeps, options: ScrubOptions): Promise<ScrubReport> {
  const findings: Findings = { slices: 0, bytes: 0, corrupt: [], faults: [] }
  let roots: Missing = { missing: [], damagedRoots: [], quarantined: undefined }
  try {
    const indexFault = await deps.checkIndex()
    if (indexFault !== undefined) reportIndex(findings, indexFault)
    await deps.takeLeftOut()
    await scrubPacks(deps, options, findings)
    roots = await checkRoots(deps, options.signal)
    const { quarantined } = roots
    if (quarantined) await deps.quarantine.settle((digest) => quarantined.has(digest))
  } catch (error) {
    if (!isIndexDamaged(error)) throw error
    reportIndex(findings, error)
  }
  if (deps.index.isDistrusted)
    addFault(
      findings,
      'The index database had lost slices that are in the packs; they were entered again. Restart the agent, or stop it and run "slipway-agent recover": it is rebuilt.',
    )
  const { slices, bytes, corrupt, faults } = findings
  return { slices, bytes, corrupt, faults, missing: roots.missing, damagedRoots: roots.damagedRoots }
}

async function scrubPacks(deps: ScrubDeps, options: ScrubOptions, findings: Findings): Promise<void> {
  const packs = [...deps.index.packs()]
  const total = packs.reduce((sum, pack) => sum + pack.length, 0)
  const pace = createPace(deps.clock, options)
  for (const pack of packs) {
    options.signal?.throwIfAborted()
    // gc may have removed it since the list was made.
    if (!deps.index.pack(pack.id)) continue
    try {
      await deps.files.use(pack.name, (file) =>
        scrubPack(deps, pack, file, findings, async (bytes) => {
          options.signal?.throwIfAborted()
          options.onProgress?.(findings.bytes, Math.max(total, findings.bytes))
          await pace(bytes)
        }),
      )
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!deps.index.pack(pack.id)) continue
      if (isIndexDamaged(error)) {
        reportIndex(findings, error)
      } else if (isNotFound(error)) {
        addFault(findings, `Pack ${pack.name} is gone from the mount path.`)
        deps.index.removePack(pack.id)
      } else {
        deps.log.error('a pack cannot be read', { pack: pack.name, error })
        addFault(findings, `Pack ${pack.name} cannot be read: ${error instanceof Error ? error.message : String(error)}.`)
      }
    }
  }
}

async function scrubPack(deps: ScrubDeps, pack: PackEntry, file: DiskFile, findings: Findings, step: (bytes: number) => Promise<void>): Promise<void> {
  const length = await file.length()
  const header = Buffer.alloc(PACK_HEADER_BYTES)
  await file.read(header, 0)
  const headerFault = packHeaderFault(header)
  if (headerFault) addFault(findings, `Pack ${pack.name} ${headerFault}; its slices are still read by their records.`)
  const sealed = await readSealed(file, length)
  if (pack.sealed && !sealed) addFault(findings, `The table of contents of pack ${pack.name} is damaged; its slices are still read by their records.`)
  const contents = sealed ?? (await walkPack(file))
  for (const row of contents.rows) {
    const fault = await recordFault(file, row)
    findings.slices++
    findings.bytes += recordLength(row)
    if (fault) await reportCorrupt(deps, pack, row, fault, findings)
    else await correctRow(deps, pack, row, findings)
    await step(recordLength(row))
  }
  if ('bad' in contents) await checkUnread(deps, pack, file, contents, length, findings)
}

/** The pack is the truth: a row of the index that says something else of one of its slices is damaged. */
async function correctRow(deps: ScrubDeps, pack: PackEntry, row: PackRow, findings: Findings): Promise<void> {
  const at = deps.index.find(row.digest)
  if (!at) return
  if (at.pack === pack.id && at.offset === row.offset) {
    if (at.length === row.length && at.storedLength === row.storedLength) return
  } else if (await hasRecord(deps, row.digest, at)) return
  const again = deps.index.find(row.digest)
  // gc may have moved the slice meanwhile.
  if (!again || again.pack !== at.pack || again.offset !== at.offset || !deps.index.pack(pack.id)) return
  addFault(findings, `The index database named a wrong place for a slice of pack ${pack.name}; it was corrected.`)
  deps.index.distrust()
  deps.index.add(pack.id, [row])
}

/** Slices that the index has in a pack, where a walk over its records did not meet them whole. */
async function checkUnread(
  deps: ScrubDeps,
  pack: PackEntry,
  file: DiskFile,
  { rows, bad, tornBytes }: PackContents,
  length: number,
  findings: Findings,
): Promise<void> {
  if (bad.length === 0 && tornBytes === 0) return
  const met = new Set(rows.map((row) => row.offset))
  for await (const row of rowsOf(deps, pack)) {
    // What was appended after the walk began is not its business.
    if (met.has(row.offset) || row.offset >= length) continue
    const fault = await recordFault(file, row)
    if (fault) await reportCorrupt(deps, pack, row, fault, findings)
  }
}

/** All rows that the index has in a pack: a full walk, needed only after damage. */
async function* rowsOf({ index, pause }: ScrubDeps, pack: PackEntry): AsyncGenerator<SliceRow> {
  yield* index.waiting().filter((row) => row.pack === pack.id)
  let after: Uint8Array | undefined
  do {
    const { rows, last } = index.walk(after)
    yield* rows.filter((row) => row.pack === pack.id)
    after = last
    await pause()
  } while (after)
}

/** What is wrong with a record, its bytes read from the disk; undefined when it is whole. */
async function recordFault(file: DiskFile, row: PackRow): Promise<string | undefined> {
  const record = Buffer.allocUnsafe(recordLength(row))
  if ((await file.read(record, row.offset)) < record.length) return 'its record is cut off'
  const header = readRecordHeader(record, 0)
  if (!header) return 'its record has no valid header'
  if (Buffer.compare(header.digest, row.digest) !== 0 || header.storedLength !== row.storedLength) return 'its record holds another slice'
  const stored = record.subarray(RECORD_HEADER_BYTES)
  if (checksumOf(stored) !== header.checksum) return 'its checksum does not match'
  try {
    const bytes = header.codec === CODEC_ZSTD ? await decompressSlice(stored, header.length) : stored
    const digest = Buffer.allocUnsafe(32)
    Bun.SHA256.hash(bytes, digest)
    return digest.equals(Buffer.from(row.digest)) ? undefined : 'its SHA-256 does not match'
  } catch {
    return 'it does not decompress'
  }
}

async function reportCorrupt(deps: ScrubDeps, pack: PackEntry, row: PackRow, reason: string, findings: Findings): Promise<void> {
  const at = deps.index.find(row.digest)
  const isQuarantined = deps.quarantine.has(row.digest, pack.name, row.offset)
  // A damaged record that nothing points to is garbage that the next gc takes, unless it is the one that a slice was lost with.
  if (at ? at.pack !== pack.id || at.offset !== row.offset : !isQuarantined) return
  const { offset, length, storedLength } = row
  if (!isQuarantined) await deps.quarantine.add(row.digest, { pack: pack.id, offset, length, storedLength }, reason)
  if (findings.corrupt.length < FINDINGS_MAX) findings.corrupt.push({ digest: formatDigest(row.digest), pack: pack.name, offset })
}

function reportIndex(findings: Findings, fault: unknown): void {
  const text = `The index database is damaged (${fault instanceof Error ? fault.message : String(fault)}): stop the agent and run "slipway-agent recover".`
  if (!findings.faults.includes(text)) addFault(findings, text)
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function addFault(findings: Findings, text: string): void {
  if (findings.faults.length < FINDINGS_MAX) findings.faults.push(text)
}

/** Holds every root against the index, after slices that only the index lost were found again in their packs. */
async function checkRoots(deps: ScrubDeps, signal: AbortSignal | undefined): Promise<Missing> {
  const first = await findMissing(deps, signal)
  if (first.missing.length === 0) return first
  const found = await reindex(deps, new Set(first.missing.map(({ digest }) => digest)), signal)
  if (found === 0) return first
  deps.index.distrust()
  return findMissing(deps, signal)
}

interface Missing {
  readonly missing: { digest: string; root: string }[]
  readonly damagedRoots: string[]
  /** Digests of quarantined slices that a root needs and no pack has; undefined when the index could not tell. */
  readonly quarantined: ReadonlySet<string> | undefined
}

/** Enters slices into the index that a pack holds whole; gives how many. */
async function reindex(deps: ScrubDeps, wanted: ReadonlySet<string>, signal: AbortSignal | undefined): Promise<number> {
  let found = 0
  for (const pack of [...deps.index.packs()]) {
    signal?.throwIfAborted()
    // The rows of an unsealed pack never left memory.
    if (!pack.sealed) continue
    await deps.files.use(pack.name, async (file) => {
      const { rows } = (await readSealed(file, await file.length())) ?? (await walkPack(file))
      for (const row of rows) {
        if (!wanted.has(formatDigest(row.digest)) || deps.index.find(row.digest) || deps.quarantine.has(row.digest, pack.name, row.offset)) continue
        if ((await recordFault(file, row)) || !deps.index.pack(pack.id)) continue
        deps.index.add(pack.id, [row])
        found++
      }
    })
  }
  return found
}

async function findMissing(deps: ScrubDeps, signal: AbortSignal | undefined): Promise<Missing> {
  const missing: { digest: string; root: string }[] = []
  const damagedRoots: string[] = []
  const candidates = new Set(deps.quarantine.all().map((entry) => entry.digest))
  const quarantined = new Set<string>()
  let seen = 0
  for (const roots of deps.roots) {
    for await (const root of roots.list()) {
      let isDamaged = false
      for await (const { digest } of root.entries()) {
        if (++seen % STEP_ENTRIES === 0) {
          signal?.throwIfAborted()
          await deps.pause()
        }
        if (!digest || deps.index.find(digest)) continue
        isDamaged = true
        const text = formatDigest(digest)
        if (candidates.has(text)) quarantined.add(text)
        if (missing.length < FINDINGS_MAX) missing.push({ digest: text, root: root.name })
      }
      if (isDamaged) damagedRoots.push(root.name)
    }
  }
  return { missing, damagedRoots, quarantined }
}

/** Holds the pass to its rate: sleeps when it is ahead. */
function createPace(clock: Clock, { bytesPerSecond, signal }: ScrubOptions): (bytes: number) => Promise<void> {
  const startMs = clock.monotonicMs()
  let done = 0
  return async (bytes) => {
    done += bytes
    const aheadMs = (done / bytesPerSecond) * 1000 - (clock.monotonicMs() - startMs)
    if (aheadMs > 50) await clock.sleep(aheadMs, signal)
  }
}
