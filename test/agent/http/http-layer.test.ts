// The cases of the HTTP layer under Bun.

import { describe, test } from 'bun:test'
import { HTTP_CASES } from '../../conformance/http/cases.ts'

for (const [group, cases] of Object.entries(HTTP_CASES)) {
  describe(group, () => {
    for (const { name, run } of cases) test(name, run)
  })
}
