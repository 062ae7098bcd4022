// The most expensive images that the inspection accepts: what one of them costs in memory, in time, and in time without the event loop.

import { expect, test } from 'bun:test'
import type { AttackCost } from '../support/images/formats-attack-program.ts'

/** Most memory of one inspection, with the garbage of 8 MiB of reads. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024
const CPU_MS_MAX = 60_000
const STRETCH_MS_MAX = 100
/** A busy machine and the collector disturb a measurement, but not each of three. */
const ATTEMPTS = 3

function attack(name: string): AttackCost {
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, `${import.meta.dir}/../support/images/formats-attack-program.ts`, name])
  expect(exitCode, stderr.toString()).toBe(0)
  return JSON.parse(stdout.toString()) as AttackCost
}

test.each([
  ['small clusters', 3_000_000_000],
  ['a long file', 9_000_000_000],
  ['large clusters', 300_000_000],
])(
  'a qcow2 with %s takes bounded memory and time',
  (name, readBytesMax) => {
    let cost = attack(name)
    for (let i = 1; i < ATTEMPTS && (cost.growthBytes > GROWTH_BYTES_MAX || cost.longestMs > STRETCH_MS_MAX); i++) cost = attack(name)
    expect(cost.outcome).toBe('accepted qcow2')
    expect(cost.growthBytes).toBeLessThan(GROWTH_BYTES_MAX)
    expect(cost.longestMs).toBeLessThan(STRETCH_MS_MAX)
    expect(cost.cpuMs).toBeLessThan(CPU_MS_MAX)
    // Every table is read once, in the order of the file.
    expect(cost.readBytes).toBeLessThan(readBytesMax)
  },
  600_000,
)
