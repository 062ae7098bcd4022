// Seeds of the simulation in CI: the same ones every time, in processes of their own, because the simulation replaces what the runtime gives
// every module.

import { expect, test } from 'bun:test'
import { simulate } from './simulate.ts'

const STEPS = 40
const SEEDS = 20
const TEST_MS_MAX = 280_000

test('a seed repeats a run exactly: the same steps, the same order of events, the same outcome', async () => {
  const first = await simulate('--seed', '5', '--steps', String(STEPS))
  const again = await simulate('--seed', '5', '--steps', String(STEPS))
  expect(first.runs).toEqual([{ seed: 5, failure: null, events: expect.any(Number), trace: expect.stringMatching(/^[0-9a-f]{8}$/) }])
  expect(again.runs).toEqual(first.runs)
  const other = await simulate('--seed', '6', '--steps', String(STEPS))
  expect(other.runs[0]?.trace).not.toBe(first.runs[0]?.trace)
}, 60_000)

test(
  `no client sees what it must not see, seeds 1 to ${SEEDS}`,
  async () => {
    const { runs, output } = await simulate('--from', '1', '--seeds', String(SEEDS), '--steps', String(STEPS))
    expect(runs.filter(({ failure }) => failure !== null).map(() => output)).toEqual([])
    expect(runs).toHaveLength(SEEDS)
  },
  TEST_MS_MAX,
)
