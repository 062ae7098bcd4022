// Which fields the form of a command asks for.

import { expect, test } from 'bun:test'
import { openScriptedFleet } from './scripted-fleet.ts'

const keysOf = async (line: string): Promise<readonly string[]> => {
  using it = openScriptedFleet({ 'edge-a': {}, 'edge-b': {} })
  return (await it.run(line, { surface: 'slack' })).form?.fields.map(({ key }) => key) ?? []
}

test('a target that was given is no longer asked for, and the options are', async () => {
  const [open, given] = [await keysOf('store edit'), await keysOf('store edit edge-a')]
  expect([open.includes('S'), given.includes('S')]).toEqual([true, false])
  expect(given).toContain('description')
  expect(open.filter((key) => key !== 'S')).toEqual([...given])
})

test('an option opens no form', async () => {
  expect(await keysOf('store edit edge-a reconnect=off')).toEqual([])
})

test('one option that is missing is named, with the line to write', async () => {
  using it = openScriptedFleet({ 'edge-a': {} })
  const { text, fields } = await it.run('store add name=edge-c url=http://edge-c.example zone=zone-1')
  expect([text, fields]).toEqual([
    'store add needs token=.',
    [{ label: 'Next', value: 'store add name=edge-c url=http://edge-c.example zone=zone-1 token=TOKEN' }],
  ])
})
