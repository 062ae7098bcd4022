// The choice of a store for new images.

import { describe, expect, test } from 'bun:test'
import type { Store } from '../../../protocol/store.ts'
import { openScriptedFleet, page, storeOf } from './scripted-fleet.ts'
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

describe('of stores that fit equally', () => {
  const capacity = (available: number) => ({ total: 1e12, used: 0, free: 1e12, reserved: 0, available })
  /** edge-a and edge-b serve zone-1, as the running service saw them last. */
  const open = (a: Partial<Store>, b: Partial<Store>): ScriptedFleet => {
    const link = { 'POST /links': { id: 'lnk_1', url: 'http://x.example/l', expiresAt: '2026-01-02T00:00:00.000Z' } }
    const it = openScriptedFleet({ 'edge-a': { ...RUNNING, ...link }, 'edge-b': { ...RUNNING, ...link } })
    const { kept, registry } = it.bot.fleet
    const nowMs = it.clock.nowMs()
    kept?.runs.beat('test', nowMs - 60_000, nowMs)
    for (const [name, members] of [
      ['edge-a', a],
      ['edge-b', b],
    ] as const) {
      const store = registry.find(name)
      if (!store) throw new Error(`${name} is not registered`)
      const value = { health: { state: 'running' as const, checks: [], asOf: '' }, store: storeOf({ name, ...members }), tasks: null }
      kept?.states.record([{ kind: 'answered', store, value, asOfMs: nowMs }])
    }
    return it
  }

  test.each<[what: string, a: Partial<Store>, b: Partial<Store>, chosen: string]>([
    ['the one with more space is chosen', { capacity: capacity(10) }, { capacity: capacity(11) }, 'edge-b'],
    ['the first of two with the same space', { capacity: capacity(10) }, { capacity: capacity(10) }, 'edge-a'],
    ['not one that is disabled', { capacity: capacity(11), enabled: false, disabledReason: 'full' }, { capacity: capacity(10) }, 'edge-b'],
    ['not one whose images are switched off', { capacity: capacity(11), imagesEnabled: false }, { capacity: capacity(10) }, 'edge-b'],
    [
      'not one that does not take its kind',
      { capacity: capacity(11), kinds: { accepted: ['template'], configured: ['template'] } },
      { capacity: capacity(10) },
      'edge-b',
    ],
    [
      'one that takes its kind',
      { capacity: capacity(11), kinds: { accepted: ['iso'], configured: ['iso'] } },
      { capacity: capacity(10), kinds: { accepted: ['template'], configured: [] } },
      'edge-a',
    ],
  ])('%s', async (_what, a, b, chosen) => {
    using it = open(a, b)
    const from = it.asked.length
    await it.run('image upload name=d kind=iso zone=zone-1')
    expect(new Set(it.asked.slice(from).map((request) => request.split(' ')[0]))).toEqual(new Set([chosen]))
  })

  test('a store that does not take the kind says which it takes', async () => {
    using it = open({ kinds: { accepted: ['template', 'base'], configured: [] } }, {})
    expect((await it.run('image upload name=d kind=iso store=edge-a')).text).toBe(
      'edge-a takes only images of the kinds template, base, not iso. Nothing was changed.',
    )
    expect((await it.run('image upload name=d store=edge-a')).text).toContain('say with kind= what it is.')
    expect((await it.run('image upload name=d kind=base store=edge-a')).text).not.toContain('takes only')
    expect((await it.run('image upload name=d kind=iso store=edge-b')).text).not.toContain('takes only')
  })
})

test('an image goes to the store that answers, if another fell silent', async () => {
  const link = { 'POST /links': { id: 'lnk_1', url: 'http://x.example/l', expiresAt: '2026-01-02T00:00:00.000Z' } }
  using it = openScriptedFleet({
    'edge-a': {
      'GET /health': () => {
        throw new TypeError('connection refused')
      },
    },
    'edge-b': { ...RUNNING, ...link },
  })
  await it.run('store health edge-a')
  const from = it.asked.length
  await it.run('image upload name=d zone=zone-1')
  expect(new Set(it.asked.slice(from).map((request) => request.split(' ')[0]))).toEqual(new Set(['edge-b']))
})
