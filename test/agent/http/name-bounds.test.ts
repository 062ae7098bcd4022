// The longest names and ids in paths and queries: at the bound nothing has the name, and one character longer it cannot be a name.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { openAccessStage } from './access/access-stage.ts'
import type { AccessStage } from './access/access-stage.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(20_000)

let stage: AccessStage

beforeAll(async () => {
  stage = await openAccessStage()
})

afterAll(() => stage[Symbol.asyncDispose]())

const NOT_FOUND = 404

test.each<[request: string, longest: number, status: number, body: object | undefined]>([
  ['GET /v1/tasks/NAME', 64, NOT_FOUND, undefined],
  ['PATCH /v1/schedules/NAME', 64, NOT_FOUND, { paused: true }],
  ['GET /v1/uploads/NAME', 64, NOT_FOUND, undefined],
  ['DELETE /v1/tokens/NAME', 64, NOT_FOUND, undefined],
  ['DELETE /v1/links/NAME', 64, NOT_FOUND, undefined],
  ['GET /v1/exports/NAME', 255, NOT_FOUND, undefined],
  ['GET /v1/exports?image=NAME', 255, 200, undefined],
  ['GET /v1/events?type=NAME', 100, 200, undefined],
  ['PATCH /v1/media-groups/NAME', 255, NOT_FOUND, { description: 'x' }],
  ['GET /v1/images/NAME', 255, NOT_FOUND, undefined],
  ['GET /v1/images/NAME/content', 255, NOT_FOUND, undefined],
  ['GET /v1/images/NAME/manifest', 255, NOT_FOUND, undefined],
])('%s takes %i characters', async (request, longest, status, body) => {
  const [method = '', path = ''] = request.split(' ')
  const ask = async (length: number): Promise<number> => (await stage.admin.ask(method, path.replace('NAME', 'x'.repeat(length)), body)).status
  expect([await ask(1), await ask(longest), await ask(longest + 1)]).toEqual([status, status, 400])
})
