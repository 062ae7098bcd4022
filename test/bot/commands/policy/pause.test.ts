// `policy pause` and `policy resume`: what becomes of the times that a policy missed. The clock begins at 2026-01-01 00:00 UTC.

import { expect, test } from 'bun:test'
import { openScriptedFleet, page } from '../scripted-fleet.ts'

const HOUR_MS = 3_600_000
const MISSED = '2026-01-01 03:00:00 UTC'
const TOMORROW = '2026-01-02 03:00:00 UTC'

test('a time that passed during a pause is not made up for; one that was missed without a pause is', async () => {
  using fleet = openScriptedFleet({ 'edge-a': { 'GET /images': page([]) }, 'edge-b': { 'GET /images': page([]) } })
  await fleet.run('policy add nightly keep=2 cron="0 3 * * *"')
  const next = async (line: string): Promise<string | undefined> => (await fleet.run(line)).rows[0]?.cells['next']
  expect(await next('policy list')).toBe(MISSED)
  fleet.clock.advance(4 * HOUR_MS)
  expect(await next('policy list')).toBe(MISSED)
  expect(await next('policy resume nightly')).toBe(MISSED)
  expect(await next('policy pause nightly')).toBe('–')
  expect(await next('policy pause nightly')).toBe('–')
  fleet.clock.advance(HOUR_MS)
  expect(await next('policy resume nightly')).toBe(TOMORROW)
})
