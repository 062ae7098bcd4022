// The most expensive images that the inspection allows: what one of them costs in memory, in time, and in time without the event loop.

import { expect, test } from 'bun:test'
import type { AttackCost } from '../support/images/formats-attack-program.ts'

/** Most memory that one inspection adds to the process, with the garbage that it leaves. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024
/** Most memory that one inspection holds: tables of 16 MiB, copies of their order, two maps of clusters, and the buffers of its reads. */
const HELD_BYTES_MAX = 48 * 1024 * 1024
const CPU_MS_MAX = 60_000
const STRETCH_MS_MAX = 100
/** A busy machine and the collector disturb a measurement, but not each of three. */
const ATTEMPTS = 3

function attack(...args: readonly string[]): AttackCost {
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, `${import.meta.dir}/../support/images/formats-attack-program.ts`, ...args])
  expect(exitCode, stderr.toString()).toBe(0)
  return JSON.parse(stdout.toString()) as AttackCost
}

test.each([
  ['qcow2 with small clusters', 'accepted qcow2', 3_000_000_000],
  ['qcow2 with a long file', 'accepted qcow2', 9_000_000_000],
  ['qcow2 with large clusters', 'accepted qcow2', 300_000_000],
  ['vmdk with the most grain tables', 'accepted vmdk', 4_400_000_000],
  ['vmdk with scattered grain tables', 'accepted vmdk', 4_400_000_000],
  ['vmdk with a descriptor of short lines', 'its descriptor has more than 4096 lines', 2_000_000],
  ['vmdk with a descriptor of one line', 'its descriptor has a line that is neither', 2_000_000],
])(
  'a %s takes bounded memory and time',
  (name, outcome, readBytesMax) => {
    let cost = attack(name)
    for (let i = 1; i < ATTEMPTS && (cost.growthBytes > GROWTH_BYTES_MAX || cost.longestMs > STRETCH_MS_MAX); i++) cost = attack(name)
    expect(cost.outcome).toContain(outcome)
    expect(cost.growthBytes).toBeLessThan(GROWTH_BYTES_MAX)
    expect(cost.longestMs).toBeLessThan(STRETCH_MS_MAX)
    expect(cost.cpuMs).toBeLessThan(CPU_MS_MAX)
    // Every table is read once, in the order of the file.
    expect(cost.readBytes).toBeLessThan(readBytesMax)
  },
  600_000,
)

test.each([
  ['qcow2 with small clusters', 33_500],
  // Each of two million tables takes a read of its own, and the engine decides when it collects what these leave.
  ['vmdk with grain tables far apart', 2_100_000],
])(
  'a %s holds bounded memory',
  (name, readsMax) => {
    const cost = attack(name, 'held')
    expect(cost.outcome).toStartWith('accepted')
    expect(cost.heldBytes).toBeGreaterThan(0)
    expect(cost.heldBytes).toBeLessThan(HELD_BYTES_MAX)
    expect(cost.reads).toBeLessThan(readsMax)
    expect(cost.cpuMs).toBeLessThan(CPU_MS_MAX)
  },
  600_000,
)
