// Scrub: reads every record of every pack at a bounded rate, verifies checksum and SHA-256, and holds every root against
// what is there. Finds what is damaged or missing before somebody needs it.

import { errorText, hasCode } from '../../../protocol/errors.ts'
import { formatDigest } from '../../../protocol/digest.ts'
import type { DiskFile } from '../../contract/disk.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { OnProgress, ScrubReport, SliceRoots } from '../../contract/slices.ts'
import type { CorrectableIndex } from '../index/index-roles.ts'
import { isIndexDamaged } from '../index/index-unusable.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackRow } from '../packs/pack-format.ts'
import { PACK_HEADER_BYTES, packHeaderFault, recordLength } from '../packs/pack-format.ts'
import type { PackContents } from '../packs/pack-scan.ts'
import { hasRecord } from '../index/indexed-record.ts'
import { readSealed, walkPack } from '../packs/pack-scan.ts'
import type { PackSearch } from '../rebuild/pack-search.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import { recordFault } from '../packs/record-check.ts'
import type { PackEntry, SliceRow } from '../packs/slice-row.ts'

/** Most findings of one kind that a report lists; the rest is in the log. */
const FINDINGS_MAX = 1000
const STEP_ENTRIES = 2048

export interface ScrubDeps {
  readonly clock: Clock
  readonly log: Log
  readonly index: CorrectableIndex
  readonly files: PackFiles
  readonly quarantine: Quarantine
  readonly roots: readonly SliceRoots[]
  /** Tries again to read packs that could not be read at the start. */
  readonly retryLeftOut: () => Promise<void>
  /** What is wrong with the file of the index database, or undefined. */
  readonly checkIndex: () => Promise<string | undefined>
  /** Makes the index anew when it is damaged; resolves when it is whole. */
  readonly rebuildIndex: () => Promise<void>
  readonly search: PackSearch
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
  const { index } = deps
  const findings: Findings = { slices: 0, bytes: 0, corrupt: [], faults: [] }
  // A damaged index is made anew first: by a whole one it can be told which damaged records are needed.
  const fault = index.isIncomplete ? undefined : await deps.checkIndex()
  if (fault !== undefined) index.distrust(fault)
  await rebuildIfDamaged(deps, findings)
  await deps.retryLeftOut()
  await scrubPacks(deps, options, findings)
  await rebuildIfDamaged(deps, findings)
  const roots = await checkRoots(deps, findings, options.signal)
  const { quarantined } = roots
  await deps.quarantine.settle((digest) => quarantined.has(digest))
  const { slices, bytes, corrupt, faults } = findings
  return { slices, bytes, corrupt, faults, missing: roots.missing, damagedRoots: roots.damagedRoots }
}

/** Has a damaged index made anew, and tells of it. */
async function rebuildIfDamaged({ index, rebuildIndex, log }: ScrubDeps, findings: Findings): Promise<void> {
  const { damage } = index
  if (damage === undefined) return
  try {
    await rebuildIndex()
    addFault(findings, `The index database was damaged (${damage}) and was rebuilt from the packs.`)
  } catch (error) {
    log.error('the index database could not be rebuilt', { error })
    addFault(
      findings,
      `The index database is damaged (${damage}) and cannot be rebuilt: ${errorText(error)}. The state folder may be full, or its disk may be failing.`,
    )
  }
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
        deps.index.distrust(errorText(error))
      } else if (hasCode(error, 'ENOENT')) {
        addFault(findings, `Pack ${pack.name} is gone from the mount path.`)
        deps.index.removePack(pack.id)
      } else {
        deps.log.error('a pack cannot be read', { pack: pack.name, error })
        addFault(findings, `Pack ${pack.name} cannot be read: ${errorText(error)}.`)
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
    else await correctRow(deps, pack, row)
    await step(recordLength(row))
  }
  if ('bad' in contents) await checkUnread(deps, pack, file, contents, length, findings)
}

/** The pack is the truth: a row of the index that says something else of one of its slices is damaged. */
async function correctRow(deps: ScrubDeps, pack: PackEntry, row: PackRow): Promise<void> {
  const at = deps.index.find(row.digest)
  if (!at) return
  if (at.pack === pack.id && at.offset === row.offset) {
    if (at.length === row.length && at.storedLength === row.storedLength) return
  } else if (await hasRecord(deps, row.digest, at)) return
  const again = deps.index.find(row.digest)
  // gc may have moved the slice meanwhile.
  if (!again || again.pack !== at.pack || again.offset !== at.offset || !deps.index.pack(pack.id)) return
  deps.index.distrust(`it named a wrong place for a slice of pack ${pack.name}`)
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

async function reportCorrupt(deps: ScrubDeps, pack: PackEntry, row: PackRow, reason: string, findings: Findings): Promise<void> {
  const at = deps.index.find(row.digest)
  const isQuarantined = deps.quarantine.has(row.digest, pack.name, row.offset)
  // A damaged record that nothing points to is garbage that the next gc takes, unless it is the one that a slice was lost with.
  if (at ? at.pack !== pack.id || at.offset !== row.offset : !isQuarantined) return
  const { offset, length, storedLength } = row
  if (!isQuarantined) await deps.quarantine.add(row.digest, { pack: pack.id, offset, length, storedLength }, reason)
  if (findings.corrupt.length < FINDINGS_MAX) findings.corrupt.push({ digest: formatDigest(row.digest), pack: pack.name, offset })
}

function addFault(findings: Findings, text: string): void {
  if (findings.faults.length < FINDINGS_MAX) findings.faults.push(text)
}

/** Holds every root against the index; what it lacks is looked for in the packs first, because only they can say that a slice is gone. */
async function checkRoots(deps: ScrubDeps, findings: Findings, signal: AbortSignal | undefined): Promise<Missing> {
  const first = await findMissing(deps, signal)
  if (first.missing.length === 0) return first
  const digests = first.missing.map(({ digest }) => Buffer.from(digest.slice(7), 'hex'))
  await deps.search.find(digests)
  await rebuildIfDamaged(deps, findings)
  return digests.some((digest) => deps.index.find(digest)) ? findMissing(deps, signal) : first
}

interface Missing {
  readonly missing: { digest: string; root: string }[]
  readonly damagedRoots: string[]
  /** Digests of quarantined slices that a root needs and no pack has. */
  readonly quarantined: ReadonlySet<string>
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
