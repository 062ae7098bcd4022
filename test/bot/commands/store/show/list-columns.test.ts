// The columns of `store list`: those that fit, those that are asked for, and all.

import { expect, test } from 'bun:test'
import { openScriptedFleet, storeOf } from '../../scripted-fleet.ts'

function open() {
  return openScriptedFleet({
    'edge-a': { 'GET /store': storeOf({ description: 'Second floor', scope: 'zone', kinds: { accepted: ['template', 'iso'], configured: [] } }) },
  })
}

test('store list shows what fits, and has a button for all columns', async () => {
  using fleet = open()
  const view = await fleet.run('store list zone=zone-1')
  expect(view.columns.map(({ key }) => key)).toEqual(['name', 'state', 'since', 'zone', 'provider', 'images', 'used', 'free', 'saved', 'url'])
  expect(view.actions.at(-1)).toEqual({ label: 'All columns', command: 'store list zone=zone-1 columns=all', role: 'viewer' })
})

test('store list columns=all shows every fact of a store', async () => {
  using fleet = open()
  for (const name of ['kvm-1', 'kvm-2']) fleet.bot.context({ name: 'ann', role: 'admin' }, 'console').hypervisors.bind(name, 'edge-a', 0)
  const view = await fleet.run('store list columns=all')
  expect(view.columns.map(({ label }) => label)).toEqual([
    ...['Name', 'State', 'Since', 'Zone', 'Provider', 'Images', 'Used', 'Free', 'Saved', 'URL'],
    ...['Protocol', 'Scope', 'Kinds', 'Hypervisors', 'Description'],
  ])
  expect(view.columns.some(({ isMinor }) => isMinor)).toBe(false)
  expect(view.rows[0]?.cells).toEqual({
    ...{ name: 'edge-a', state: 'Running', since: '–', zone: 'zone-1', provider: 'local', images: '2', used: '400 GB of 1.0 TB (40 %)', free: '599 GB' },
    ...{
      saved: '3.0×',
      url: 'http://edge-a.example',
      protocol: 'http',
      scope: 'zone',
      kinds: 'template, iso',
      hypervisors: 'kvm-1, kvm-2',
      description: 'Second floor',
    },
  })
  expect(view.actions.map(({ label }) => label)).not.toContain('All columns')
  expect(view.json).toMatchObject({ items: [{ name: 'edge-a', hypervisors: ['kvm-1', 'kvm-2'] }] })
})

test('store list columns= shows the columns in the order in which they are named, after the name', async () => {
  using fleet = open()
  expect((await fleet.run('store list columns=scope,URL,scope')).columns.map(({ key }) => key)).toEqual(['name', 'scope', 'url'])
  expect((await fleet.run('store list columns=xyzzy')).text).toBe('"xyzzy" is not a column.')
})
