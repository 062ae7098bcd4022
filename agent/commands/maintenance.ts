// The commands recover, scrub and gc, for a store that no agent is serving. Each reports what it did on standard output and
// returns 1 when it found damage.

import { formatSize } from '../../protocol/units.ts'
import type { Config } from '../config.ts'
import { systemClock } from '../system/clock.ts'
import { orRefuse } from './access-refused.ts'
import { becomeOwner } from './as-owner.ts'
import { createRuntime, openFoundation } from './parts/foundation.ts'
import { openStoreParts } from './parts/store-parts.ts'
import type { StoreParts } from './parts/store-parts.ts'

/** No agent uses the disk when the command is run by hand, so the rate is not limited. */
const SCRUB_BYTES_PER_SECOND = 10_000_000_000

/** Rebuilds the index database from the packs. */
export function recoverStore(config: Config): Promise<number> {
  return withStore(config, { rebuild: true }, async ({ slices, catalogue }) => {
    const { packsRead, slicesFound, bytesFound, tornBytes, faults } = slices.recovered
    const { available, deleted, other } = catalogue.counts()
    print(`${slicesFound} slices (${formatSize(bytesFound)}) found in ${packsRead} packs; ${available + deleted + other} images in the catalogue.`)
    if (tornBytes > 0) print(`${formatSize(tornBytes)} of torn tails were truncated: none of it was acknowledged.`)
    for (const fault of faults) print(`Damage: ${fault}`)
    if (faults.length > 0) print('Run scrub to list the images that are affected.')
    return faults.length > 0 ? 1 : 0
  })
}

/** Reads and verifies every slice. */
export function scrubStoreNow(config: Config): Promise<number> {
  return withStore(config, {}, async ({ slices, catalogue }, signal) => {
    const startedAtMs = systemClock.nowMs()
    const report = await slices.scrub({ bytesPerSecond: SCRUB_BYTES_PER_SECOND, signal })
    await catalogue.applyScrub({ damagedRoots: report.damagedRoots, startedAtMs })
    print(`${report.slices} slices (${formatSize(report.bytes)}) were read: ${report.corrupt.length} damaged, ${report.missing.length} missing.`)
    for (const { digest, pack, offset } of report.corrupt) print(`Damaged: ${digest} in pack ${pack} at ${offset}; it is in quarantine.`)
    for (const root of report.damagedRoots) print(`Affected: ${root}. Sync it again from a store that has it.`)
    return report.corrupt.length + report.missing.length > 0 ? 1 : 0
  })
}

/** Removes unreferenced slices. */
export function collectGarbageNow(config: Config, dryRun: boolean): Promise<number> {
  return withStore(config, {}, async ({ slices }, signal) => {
    const report = await slices.gc({ dryRun, signal })
    const { slicesLive, slicesDead, deadBytes, freedBytes, packsRemoved, packsRewritten } = report
    print(`${slicesLive} slices are referenced, ${slicesDead} (${formatSize(deadBytes)}) are not.`)
    if (dryRun) print(`A run would free ${formatSize(freedBytes)}.`)
    else print(`${formatSize(freedBytes)} were freed: ${packsRemoved} packs removed, ${packsRewritten} rewritten.`)
    return 0
  })
}

/** Opens a store for one command; SIGINT and SIGTERM stop it at the next safe point. */
export async function withStore(
  config: Config,
  options: { readonly rebuild?: boolean },
  run: (parts: StoreParts, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController()
  const onSignal = (): void => stop.abort(new Error('stopped by a signal'))
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  becomeOwner(config)
  try {
    const onLost = (): void => stop.abort(new Error('another agent took over the store'))
    await using foundation = await orRefuse(config, openFoundation(createRuntime(config), { onLost, signal: stop.signal, restore: options.rebuild ?? false }))
    await using parts = await orRefuse(config, openStoreParts(foundation, options))
    if (foundation.restoredFrom !== undefined) print(`store.json was restored from ${foundation.restoredFrom}.`)
    return await run(parts, stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    print('Stopped before the end. Completed work is kept; run the command again to continue.')
    return 1
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
