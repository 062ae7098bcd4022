// `bun run test [suite…]`: runs every suite and ends with one line, `N passed, N failed` and how many were skipped.

import { runSuite, SUITES } from './suites.ts'

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !SUITES.some((suite) => suite.name === name))
if (unknown.length > 0) {
  console.error(`There is no suite named ${unknown.join(', ')}. Suites: ${SUITES.map((suite) => `"${suite.name}"`).join(', ')}.`)
  process.exit(2)
}

let passed = 0
let failed = 0
let skipped = 0
for (const suite of SUITES) {
  if (wanted.length > 0 && !wanted.includes(suite.name)) continue
  const startedMs = performance.now()
  const result = await runSuite(suite, (text) => console.log(text))
  passed += result.passed
  failed += result.failed
  skipped += result.skipped
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`${suite.name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped in ${seconds} s`)
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed > 0 ? 1 : 0)
