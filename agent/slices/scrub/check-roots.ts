// Compares every root with the index: which slices are missing, and which roots that damages.

import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { SliceRoots } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackSearch } from '../rebuild/pack-search.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import { addFinding } from './findings.ts'

/** Entries compared between two pauses. */
const STEP_ENTRIES = 2048

export interface CheckRootsDeps {
  readonly index: SliceLookup
  readonly quarantine: Quarantine
  readonly roots: readonly SliceRoots[]
  readonly search: PackSearch
  readonly pause: () => Promise<void>
}

export interface MissingSlices {
  readonly missing: { digest: string; root: string }[]
  readonly damagedRoots: string[]
  /** Why roots could not give all their entries, a sentence each. */
  readonly rootFaults: readonly string[]
  /** Digests of quarantined slices that a root needs and no pack has. */
  readonly quarantined: ReadonlySet<string>
}

/**
 * Compares every root with the index. Slices that the index lacks are searched in the packs first, because only the packs can say that a slice
 * is gone; `onSearched` is awaited after that search, and the roots are compared again when it found any.
 */
export async function checkRoots(deps: CheckRootsDeps, signal: AbortSignal | undefined, onSearched: () => Promise<void>): Promise<MissingSlices> {
  const first = await findMissing(deps, signal)
  if (first.missing.length === 0) return first
  const digests = first.missing.map(({ digest }) => Buffer.from(digest.slice(7), 'hex'))
  await deps.search.find(digests)
  await onSearched()
  return digests.some((digest) => deps.index.find(digest)) ? findMissing(deps, signal) : first
}

async function findMissing(deps: CheckRootsDeps, signal: AbortSignal | undefined): Promise<MissingSlices> {
  const missing: { digest: string; root: string }[] = []
  const damagedRoots: string[] = []
  const rootFaults: string[] = []
  const candidates = new Set(deps.quarantine.all().map((entry) => entry.digest))
  const quarantined = new Set<string>()
  let seen = 0
  for (const roots of deps.roots) {
    for await (const root of roots.list()) {
      let isDamaged = false
      const missingBefore = missing.length
      for await (const { digest } of root.entries()) {
        if (++seen % STEP_ENTRIES === 0) {
          signal?.throwIfAborted()
          await deps.pause()
        }
        if (!digest || deps.index.find(digest)) continue
        isDamaged = true
        const text = formatDigest(digest)
        if (candidates.has(text)) quarantined.add(text)
        addFinding(missing, { digest: text, root: root.name })
      }
      const fault = root.fault?.()
      if (fault) {
        // Entries of a damaged manifest name slices that never existed.
        missing.splice(missingBefore)
        rootFaults.push(`${fault.reason.charAt(0).toUpperCase()}${fault.reason.slice(1)}. ${fault.action}`)
      }
      if (isDamaged || fault) damagedRoots.push(root.name)
    }
  }
  return { missing, damagedRoots, rootFaults, quarantined }
}
