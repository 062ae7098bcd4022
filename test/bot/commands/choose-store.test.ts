// The choice of a store for new images.

import { describe, expect, test } from 'bun:test'
import { openScriptedFleet, page } from './scripted-fleet.ts'
import type { ScriptedFleet } from './scripted-fleet.ts'

const RUNNING = { 'GET /images': page([]), 'GET /tasks': page([]) }

describe('without store=, image upload goes to', () => {
  const link = { 'POST /links': { id: 'lnk_1', url: 'http://x.example/l', expiresAt: '2026-01-02T00:00:00.000Z' } }
  const open = async (): Promise<ScriptedFleet> => {
    const it = openScriptedFleet({ 'edge-a': { ...RUNNING, ...link }, 'edge-b': { ...RUNNING, ...link }, 'edge-c': { ...RUNNING, ...link } })
    await it.run('zone add zone-2')
    await it.run('zone detach zone-1 edge-c')
    await it.run('zone attach zone-2 edge-c')
    await it.run('store edit edge-b provider=nfs')
    await it.run('store bind edge-b hypervisor=kvm-1')
    return it
  }
  const chosen = async (it: ScriptedFleet, line: string): Promise<string> => {
    const from = it.asked.length
    await it.run(line)
    return [...new Set(it.asked.slice(from).map((request) => request.split(' ')[0]))].join(', ')
  }

  test.each([
    ['image upload name=d hypervisor=KVM-1', 'edge-b'],
    ['image upload name=d zone=zone-2', 'edge-c'],
    ['image upload name=d primary=nfs', 'edge-b'],
    ['image upload name=d primary=ceph zone=zone-2', 'edge-c'],
    ['image upload name=d primary=local', 'edge-a'],
    ['image upload name=d zone=zone-1', 'edge-a'],
    ['image upload name=d zone=zone-1 primary=nfs', 'edge-b'],
  ])('%s: %s', async (line, store) => {
    using it = await open()
    expect(await chosen(it, line)).toBe(store)
  })

  test.each([
    ['image upload name=d', 'There are 3 stores: edge-a, edge-b, edge-c.'],
    ['image upload name=d store=edge-c zone=zone-1', 'edge-c is in zone "zone-2", so it does not serve zone "zone-1".'],
    ['image upload name=d hypervisor=kvm-1 zone=zone-2', 'edge-b is in zone "zone-1" with the scope zone, so it does not serve zone "zone-2".'],
  ])('%s is refused: %s', async (line, text) => {
    using it = await open()
    expect(await it.run(line)).toMatchObject({ outcome: 'failed', text })
  })

  test.each([
    ['image upload name=d zone=zone-3', 'No store serves zone "zone-3".'],
    ['image upload name=d zone=zone-3 primary=ceph', 'No store serves zone "zone-3" and fits the primary storage ceph.'],
  ])('%s is refused where nothing fits: %s', async (line, text) => {
    using it = await open()
    await it.run('zone add zone-3')
    expect(await it.run(line)).toMatchObject({ outcome: 'failed', text: expect.stringContaining(text) })
  })

  test('the only store, when nothing else is asked for', async () => {
    using it = openScriptedFleet({ 'edge-a': { ...RUNNING, ...link } })
    expect(await chosen(it, 'image upload name=d')).toBe('edge-a')
  })

  test('not to a store that is in maintenance, if another fits', async () => {
    using it = await open()
    await it.run('store maintenance edge-a for=2h')
    expect(await chosen(it, 'image upload name=d primary=ceph zone=zone-1')).toBe('edge-b')
  })
})
