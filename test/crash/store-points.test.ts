// The crash points of uploads, packs and images. A crash point without a scenario fails the suite.

import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { killAtPoints } from './kill-at-points.ts'
import { STORE_SCENARIOS, TASK_SCENARIOS } from './scenarios/points.ts'

/** Returns the names of all crash points in the agent's code. */
function crashPoints(): string[] {
  const agent = join(import.meta.dir, '../../agent')
  const files = readdirSync(agent, {
    recursive: true,
    encoding: 'utf8',
  }).filter((name) => name.endsWith('.ts'))
  const found = files.flatMap((name) => [...readFileSync(join(agent, name), 'utf8').matchAll(/crashPoint\('([^']+)'\)/g)].map(([, point]) => point ?? ''))
  return [...new Set(found)].toSorted()
}

test('every crash point of the code has a scenario, and every scenario has a crash point', () => {
  expect([...Object.keys(STORE_SCENARIOS), ...Object.keys(TASK_SCENARIOS)].toSorted()).toEqual(crashPoints())
})

killAtPoints(STORE_SCENARIOS)
