// `bun run test [suite…]`: runs every suite and ends with one line, `N passed, N failed` and how many were skipped. Processes that the
// suites start run the compiled programs, as on a node.
//
// `--mutate-since=COMMIT` adds a mutation run of the lines that changed since a commit.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildAgent, buildBot } from './build-program.ts'
import { runMutationSuite } from './mutate/mutation-suite.ts'
import { runSuite, SUITES } from './suites.ts'
import type { SuiteResult } from './suites.ts'

const { values, positionals: wanted } = parseArgs({ allowPositionals: true, options: { 'mutate-since': { type: 'string' } } })
const unknown = wanted.filter((name) => !SUITES.some((suite) => suite.name === name))
if (unknown.length > 0) {
  console.error(`There is no suite named ${unknown.join(', ')}. Suites: ${SUITES.map((suite) => `"${suite.name}"`).join(', ')}.`)
  process.exit(2)
}

let passed = 0
let failed = 0
let skipped = 0
const show = (text: string): void => console.log(text)
const count = async (name: string, run: () => Promise<SuiteResult>): Promise<void> => {
  const startedMs = performance.now()
  const result = await run()
  passed += result.passed
  failed += result.failed
  skipped += result.skipped
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  const cpu = result.cpuMs === undefined ? '' : `, ${(result.cpuMs / 1000).toFixed(0)} s of CPU`
  show(`${name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped in ${seconds} s${cpu}`)
}
const programs = mkdtempSync(join(tmpdir(), 'slipway-programs-'))
process.on('exit', () => rmSync(programs, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
await Promise.all([buildAgent(programs), buildBot(programs)])
for (const suite of SUITES) if (wanted.length === 0 || wanted.includes(suite.name)) await count(suite.name, () => runSuite(suite, show, programs))
const since = values['mutate-since']
if (since !== undefined) await count('mutation', () => runMutationSuite(since, show))
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed > 0 ? 1 : 0)
