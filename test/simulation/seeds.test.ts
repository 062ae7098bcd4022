// Seeds of the simulation in CI: the same ones every time, in processes of their own, because the simulation replaces what the runtime gives
// every module.

import { expect, test } from 'bun:test'
import { simulate } from './simulate.ts'

/** Seeds from 1 on, in this many processes at the same time. */
const SEEDS = 200
const PROCESSES = 2
const TEST_MS_MAX = 280_000

test('a seed repeats a run exactly: the same steps, the same order of events, the same outcome', async () => {
  const [first, again, other] = await Promise.all([simulate('--seed', '5'), simulate('--seed', '5'), simulate('--seed', '6')])
  expect(first.runs).toEqual([{ seed: 5, failure: null, events: expect.any(Number), trace: expect.stringMatching(/^[0-9a-f]{8}$/) }])
  expect(again.runs).toEqual(first.runs)
  expect(other.runs[0]?.trace).not.toBe(first.runs[0]?.trace)
}, 60_000)

test(
  `no client sees what it must not see, seeds 1 to ${SEEDS}`,
  async () => {
    const share = SEEDS / PROCESSES
    const parts = Array.from({ length: PROCESSES }, (_part, i) => simulate('--from', String(1 + i * share), '--seeds', String(share), '--shrink'))
    const outcomes = await Promise.all(parts)
    for (const { runs, output } of outcomes) if (runs.some(({ failure }) => failure !== null)) throw new Error(output)
    expect(outcomes.flatMap(({ runs }) => runs)).toHaveLength(SEEDS)
  },
  TEST_MS_MAX,
)
