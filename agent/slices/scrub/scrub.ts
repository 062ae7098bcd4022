// Scrub: reads every record of every pack at a bounded rate, verifies checksum and SHA-256, and compares every root with the index.
// Finds what is damaged or missing before a reader needs it.

import { errorText, hasCode } from '../../../protocol/errors.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { OnProgress, ScrubReport } from '../../contract/slices.ts'
import { isIndexDamaged } from '../index/index-unusable.ts'
import { checkRoots } from './check-roots.ts'
import type { CheckRootsDeps } from './check-roots.ts'
import type { Findings } from './findings.ts'
import { addFinding } from './findings.ts'
import { scrubPack } from './scrub-pack.ts'
import type { ScrubPackDeps } from './scrub-pack.ts'

/** How far ahead of its rate the pass may be before it sleeps, in milliseconds: short sleeps cost more than they even out. */
const AHEAD_MS_MAX = 50

export interface ScrubDeps extends ScrubPackDeps, Omit<CheckRootsDeps, 'index'> {
  readonly clock: Clock
  readonly log: Log
  /** Reads the packs again that could not be read when the store was opened. */
  readonly retryLeftOut: () => Promise<void>
  /** Verifies the files of the index database; resolves with the first fault, or undefined. */
  readonly checkIndex: () => Promise<string | undefined>
  /** Rebuilds the index when it is damaged; resolves when it is intact. */
  readonly rebuildIndex: () => Promise<void>
}

export interface ScrubOptions {
  readonly bytesPerSecond: number
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** Runs one scrub; see the contract for the report. */
export async function scrubStore(deps: ScrubDeps, options: ScrubOptions): Promise<ScrubReport> {
  const { index } = deps
  const findings: Findings = { slices: 0, bytes: 0, corrupt: [], faults: [] }
  // A damaged index is rebuilt first: only an intact one can say which damaged records are needed.
  const fault = index.isIncomplete ? undefined : await deps.checkIndex()
  if (fault !== undefined) index.distrust(fault)
  await rebuildIfDamaged(deps, findings)
  await deps.retryLeftOut()
  await scrubPacks(deps, options, findings)
  await rebuildIfDamaged(deps, findings)
  const { missing, damagedRoots, rootFaults, quarantined } = await checkRoots(deps, options.signal, () => rebuildIfDamaged(deps, findings))
  for (const fault of rootFaults) addFinding(findings.faults, fault)
  await deps.quarantine.settle((digest) => quarantined.has(digest))
  const { slices, bytes, corrupt, faults } = findings
  return { slices, bytes, corrupt, faults, missing, damagedRoots }
}

/** Rebuilds the index when it is damaged, and adds the outcome to the findings. */
async function rebuildIfDamaged({ index, rebuildIndex, log }: ScrubDeps, findings: Findings): Promise<void> {
  const { damage } = index
  if (damage === undefined) return
  try {
    await rebuildIndex()
    addFinding(findings.faults, `The index database was damaged (${damage}) and was rebuilt from the packs.`)
  } catch (error) {
    log.error('the index database could not be rebuilt', { error })
    addFinding(
      findings.faults,
      `The index database is damaged (${damage}) and cannot be rebuilt: ${errorText(error)}. The state folder may be full, or its disk may be failing.`,
    )
  }
}

async function scrubPacks(deps: ScrubDeps, options: ScrubOptions, findings: Findings): Promise<void> {
  const packs = [...deps.index.packs()]
  const total = packs.reduce((sum, pack) => sum + pack.length, 0)
  const limitRate = createRateLimit(deps.clock, options)
  const step = async (bytes: number): Promise<void> => {
    options.signal?.throwIfAborted()
    options.onProgress?.(findings.bytes, Math.max(total, findings.bytes))
    await limitRate(bytes)
  }
  for (const pack of packs) {
    options.signal?.throwIfAborted()
    // gc may have removed it since the list was made.
    if (!deps.index.pack(pack.id)) continue
    try {
      await deps.files.use(pack.name, (file) => scrubPack(deps, { pack, file, findings }, step))
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!deps.index.pack(pack.id)) continue
      if (isIndexDamaged(error)) {
        deps.index.distrust(errorText(error))
      } else if (hasCode(error, 'ENOENT')) {
        addFinding(findings.faults, `Pack ${pack.name} is gone from the mount path.`)
        deps.index.removePack(pack.id)
      } else {
        deps.log.error('a pack cannot be read', { pack: pack.name, error })
        addFinding(findings.faults, `Pack ${pack.name} cannot be read: ${errorText(error)}.`)
      }
    }
  }
}

/** Returns a function that counts bytes and sleeps when the pass is ahead of its rate. */
function createRateLimit(clock: Clock, { bytesPerSecond, signal }: ScrubOptions): (bytes: number) => Promise<void> {
  const startMs = clock.monotonicMs()
  let done = 0
  return async (bytes) => {
    done += bytes
    const aheadMs = (done / bytesPerSecond) * 1000 - (clock.monotonicMs() - startMs)
    if (aheadMs > AHEAD_MS_MAX) await clock.sleep(aheadMs, signal)
  }
}
