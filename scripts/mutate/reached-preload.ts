// Runs in the process of a test file: writes after each test how long it took and which units were reached since the last one.

import { afterEach, beforeEach } from 'bun:test'
import { appendFileSync } from 'node:fs'

/** One byte for each unit, shared with the workers and processes that a test starts. */
const reached = Bun.mmap(process.env['SLIPWAY_REACHED'] ?? '')
const report = process.env['SLIPWAY_REACHED_REPORT'] ?? ''
let startedMs = 0
let startedCpu = process.cpuUsage()
/** Units that ran between tests, such as those that run when a module is loaded: each test may depend on them. */
let between: number[] = []

function take(): number[] {
  const units: number[] = []
  for (let at = reached.indexOf(1); at >= 0; at = reached.indexOf(1, at + 1)) {
    units.push(at)
    reached[at] = 0
  }
  return units
}

beforeEach(() => {
  between = take()
  startedMs = performance.now()
  startedCpu = process.cpuUsage()
})

afterEach(() => {
  const { user, system } = process.cpuUsage(startedCpu)
  const times = { ms: Math.round(performance.now() - startedMs), cpuMs: Math.round((user + system) / 1000) }
  appendFileSync(report, `${JSON.stringify({ ...times, units: take(), between })}\n`)
})
