// All cases of the HTTP layer.

import { ACCESS_CASES } from './access.ts'
import type { HttpCase } from './case.ts'
import { CROSS_ORIGIN_CASES } from './cross-origin.ts'
import { FRAME_CASES } from './frame.ts'
import { PAGE_CASES } from './page.ts'
import { STORE_CASES } from './store.ts'
import { WORK_CASES } from './work.ts'

export const HTTP_CASES: Readonly<Record<string, readonly HttpCase[]>> = {
  frame: FRAME_CASES,
  'cross origin': CROSS_ORIGIN_CASES,
  access: ACCESS_CASES,
  page: PAGE_CASES,
  work: WORK_CASES,
  store: STORE_CASES,
}
