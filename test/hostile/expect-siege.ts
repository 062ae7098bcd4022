// Judges an attack: it must stay within its budget and must not affect an honest client.

import { expect } from 'bun:test'
import { BUDGETS } from './budgets.ts'
import type { RequestKind } from './budgets.ts'
import { ATTACKERS, BASE_BYTES_MAX, HONEST_BYTES_MAX, isConclusive } from './siege.ts'
import type { Attacker, Castle, SiegeReport } from './siege.ts'

/** Longest time until a health response, at the 99th percentile, in milliseconds. */
const HEALTH_P99_MS_MAX = 100
/** Most attempts. A busy machine delays health too, but only the delay that an attack causes recurs in each attempt. */
const ATTEMPTS_MAX = 3

/** Returns the longest time on this machine. Time that the event loop waited for a core is not caused by the attack. */
function healthMsMax({ waitFactor }: SiegeReport): number {
  return HEALTH_P99_MS_MAX * waitFactor
}

/**
 * Runs an attack and expects it to stay within the budget of its kind: memory of eight at once, disk, health, and the honest
 * client's uploads and downloads. Returns the report for further expectations.
 */
export async function expectHarmless(castle: Castle, kind: RequestKind, attack: (attacker: Attacker) => Promise<void>): Promise<SiegeReport> {
  const { memoryBytes } = BUDGETS[kind]
  for (let attempt = 1; ; attempt++) {
    const report = await castle.besiege(attack)
    expect(report.failures).toEqual([])
    expect(report.memoryBytesMax).toBeLessThan(BASE_BYTES_MAX + HONEST_BYTES_MAX + ATTACKERS * memoryBytes)
    const isQuick = isConclusive(report) && report.healthP99Ms < healthMsMax(report)
    if (isQuick || attempt === ATTEMPTS_MAX) {
      expect(isConclusive(report)).toBe(true)
      expect(report.healthP99Ms).toBeLessThan(healthMsMax(report))
      if (process.env['SLIPWAY_SHOW_SIEGES'] === '1') show(kind, report)
      return report
    }
  }
}

function show(kind: RequestKind, { healthP99Ms, waitFactor, memoryBytesMax, diskBytes, roundTrips }: SiegeReport): void {
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
  console.error(
    `${kind}: health p99 ${healthP99Ms.toFixed(1)} ms (waiting ${waitFactor.toFixed(2)}), memory ${megabytes(memoryBytesMax)}, disk ${megabytes(diskBytes)}, ${roundTrips} round trips`,
  )
}
