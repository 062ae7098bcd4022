// Runs the cases on the runtime that runs this file, without a test runner of its own: one line of JSON for each case.

import { HTTP_CASES } from './cases.ts'

for (const [group, cases] of Object.entries(HTTP_CASES)) {
  for (const { name, run } of cases) {
    let error: string | null = null
    try {
      await run()
    } catch (thrown) {
      error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    }
    console.log(JSON.stringify({ group, name, error }))
  }
}
