// `policy list`: how many there are, and which failed.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('counts the policies, and has columns only when there is one', async () => {
  const running = { 'GET /images': page([]) }
  using it = openScriptedFleet({ 'edge-a': running, 'edge-b': running })
  expect(await it.run('policy list')).toMatchObject({ text: 'No policies. policy add makes one.', columns: [], rows: [], notes: [] })
  await it.run('policy add mirror follow=edge-a store=edge-b')
  const one = await it.run('policy list')
  expect([one.text, one.rows.length, one.columns.length > 0, one.notes]).toEqual(['1 policy', 1, true, []])
  await it.run('policy add back follow=edge-b store=edge-a')
  expect((await it.run('policy list')).text).toBe('2 policies')
})
