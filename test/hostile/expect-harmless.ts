// Judges an attack: it must stay within its budget and must not affect an honest client.

import { expect } from 'bun:test'
import { BUDGETS } from './budgets.ts'
import type { Budget, RequestKind } from './budgets.ts'
import { ATTACKERS, BASE_BYTES_MAX, HONEST_BYTES_MAX, isConclusive } from './attack.ts'
import type { Attacker, AttackTarget, AttackReport } from './attack.ts'

/** Most attempts. A busy machine delays health and the collection of garbage too, but only what an attack causes recurs in each attempt. */
const ATTEMPTS_MAX = 3

/** How much longer the event loop waits for a core at the 99th percentile than on average, on a machine with other work. */
const WAIT_P99_FACTOR = 3

/**
 * Returns the longest time until a health response on this machine, at the 99th percentile, in milliseconds: one request of each
 * attacker may come before it, and each may block the event loop for as long as its kind allows. Time that the event loop waited for a
 * core is not caused by the attack.
 */
function healthMsMax({ loopMs }: Budget, { waitFactor }: AttackReport): number {
  return ATTACKERS * loopMs * (1 + WAIT_P99_FACTOR * (waitFactor - 1))
}

/**
 * Runs an attack and expects it to stay within the budget of its kind: memory of eight at once, disk, health, and the honest
 * client's uploads and downloads. Returns the report for further expectations.
 */
export async function expectHarmless(target: AttackTarget, kind: RequestKind, attack: (attacker: Attacker) => Promise<void>): Promise<AttackReport> {
  const budget = BUDGETS[kind]
  const memoryBytesMax = BASE_BYTES_MAX + HONEST_BYTES_MAX + ATTACKERS * budget.memoryBytes
  for (let attempt = 1; ; attempt++) {
    const report = await target.run(attack)
    expect(report.failures).toEqual([])
    const isHarmless = isConclusive(report) && report.healthP99Ms < healthMsMax(budget, report) && report.memoryBytesMax < memoryBytesMax
    if (isHarmless || attempt === ATTEMPTS_MAX) {
      expect(isConclusive(report)).toBe(true)
      expect(report.healthP99Ms).toBeLessThan(healthMsMax(budget, report))
      expect(report.memoryBytesMax).toBeLessThan(memoryBytesMax)
      if (process.env['SLIPWAY_SHOW_ATTACKS'] === '1') show(kind, report)
      return report
    }
  }
}

function show(kind: RequestKind, { healthP99Ms, waitFactor, memoryBytesMax, diskBytes, roundTrips }: AttackReport): void {
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`
  console.error(
    `${kind}: health p99 ${healthP99Ms.toFixed(1)} ms (waiting ${waitFactor.toFixed(2)}), memory ${megabytes(memoryBytesMax)}, disk ${megabytes(diskBytes)}, ${roundTrips} round trips`,
  )
}
