// Bounds of `zone add`, and what keeps a zone from being deleted.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const EMPTY = { 'GET /images': page([]), 'GET /tasks': page([]) }

test.each([
  [500, 'done'],
  [501, 'failed'],
])('a description of %d characters: %s', async (length, outcome) => {
  using it = openScriptedFleet({ 'edge-a': EMPTY })
  expect((await it.run(`zone add zone-9 description=${'x'.repeat(length)}`)).outcome).toBe(outcome as 'done')
})

test('zone delete removes its stores as well, unless a policy is for the zone', async () => {
  using it = openScriptedFleet({ 'edge-a': EMPTY, 'edge-b': EMPTY })
  await it.run('zone add zone-1')
  await it.run('policy add keep keep=1 zone=zone-1')
  const blocked = await it.run('zone delete zone-1 --confirm zone-1')
  expect(blocked).toMatchObject({ outcome: 'refused', text: expect.stringContaining('Policies for zone-1: keep (') })
  await it.run('policy delete keep --confirm keep')
  const line = (await it.run('zone delete zone-1')).confirm
  expect((await it.run(`${line?.command} --confirm "${line?.name}"`)).outcome).toBe('done')
  expect(it.bot.fleet.registry.list()).toEqual([])
})

test('the checklist of zone delete names policies of this zone only', async () => {
  using it = openScriptedFleet({ 'edge-a': EMPTY })
  await it.run('zone add zone-9')
  await it.run('zone add zone-1')
  await it.run('policy add keep keep=1 zone=zone-1')
  expect((await it.run('zone delete zone-9')).confirm?.checklist.find(({ label }) => label === 'Policies for zone-9')?.detail).toBe('none')
})
