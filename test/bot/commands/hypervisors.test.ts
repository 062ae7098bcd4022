// Hypervisors that are bound to stores, and types of storage.

import { describe, expect, test } from 'bun:test'
import { HYPERVISORS_MAX } from '../../../bot/hypervisors/hypervisors.ts'
import { openScriptedFleet, page, storeOf } from './scripted-fleet.ts'
import type { ScriptedFleet } from './scripted-fleet.ts'

const RUNNING = { 'GET /images': page([]), 'GET /tasks': page([]) }

const hypervisorsOf = async (it: ScriptedFleet, store: string): Promise<unknown> =>
  ((await it.run(`store show ${store}`)).json as Record<string, unknown>)['hypervisors']

describe('a hypervisor', () => {
  test('is bound to one store, which shows it, and unbound', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': RUNNING })
    expect(await it.run('store bind edge-a hypervisor=kvm-2,kvm-1')).toMatchObject({
      outcome: 'done',
      json: { store: 'edge-a', hypervisors: ['kvm-1', 'kvm-2'] },
    })
    expect(await it.run('store bind edge-a hypervisor=kvm-1')).toMatchObject({ outcome: 'done' })
    expect(await it.run('store bind edge-b hypervisor=kvm-3,KVM-1')).toMatchObject({
      outcome: 'failed',
      text: 'KVM-1 is bound to edge-a. Nothing was changed.',
    })
    expect([await hypervisorsOf(it, 'edge-a'), await hypervisorsOf(it, 'edge-b')]).toEqual([['kvm-1', 'kvm-2'], []])
    expect((await it.run('store show edge-a')).fields).toContainEqual({ label: 'Hypervisors', value: 'kvm-1, kvm-2' })
    await it.run('store unbind edge-a hypervisor=kvm-1')
    expect(await it.run('store bind edge-b hypervisor=kvm-1')).toMatchObject({ outcome: 'done' })
  })

  test('is one of a bounded number', async () => {
    expect(HYPERVISORS_MAX).toBe(256)
    using it = openScriptedFleet({ 'edge-a': RUNNING })
    const names = (from: number, to: number): string => Array.from({ length: to - from }, (_unused, i) => `kvm-${from + i}`).join(',')
    expect(await it.run(`store bind edge-a hypervisor=${names(0, 256)}`)).toMatchObject({ outcome: 'done' })
    expect(await it.run('store bind edge-a hypervisor=kvm-256')).toMatchObject({ outcome: 'failed', text: 'edge-a has 256 hypervisors.' })
    expect(await it.run('store bind edge-a hypervisor=kvm-255')).toMatchObject({ outcome: 'done' })
  })

  test('is named before its store is deleted, and follows repoint-to=', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': RUNNING })
    await it.run('store bind edge-a hypervisor=kvm-1')
    const item = async (line: string) => (await it.run(line)).confirm?.checklist.find(({ label }) => label === 'Hypervisors bound to edge-a')
    expect(await item('store delete edge-a')).toMatchObject({
      passed: true,
      detail: 'kvm-1: they have no store afterwards; add repoint-to=S to bind them to another one',
    })
    expect(await item('store delete edge-a repoint-to=edge-b')).toMatchObject({ passed: true, detail: 'kvm-1; they are bound to edge-b instead' })
    const planned = (await it.run('store delete edge-a repoint-to=edge-b')).confirm?.command ?? ''
    await it.run('store bind edge-a hypervisor=kvm-2')
    expect(await it.run(`${planned} --confirm edge-a`)).toMatchObject({ outcome: 'refused', text: expect.stringContaining('plan has changed') })
    expect(await it.run('store delete edge-a repoint-to=edge-b --confirm edge-a')).toMatchObject({ outcome: 'done' })
    expect(await hypervisorsOf(it, 'edge-b')).toEqual(['kvm-1', 'kvm-2'])
  })

  test('keeps its store when that is renamed, and loses it when that is deleted', async () => {
    using it = openScriptedFleet({ 'edge-a': { ...RUNNING, 'PATCH /store': storeOf() }, 'edge-b': RUNNING })
    await it.run('store bind edge-a hypervisor=kvm-1')
    await it.run('store edit edge-a name=hub')
    expect(await hypervisorsOf(it, 'hub')).toEqual(['kvm-1'])
    expect(await it.run('store delete hub --unreachable --confirm hub')).toMatchObject({ outcome: 'done' })
    expect(await it.run('store bind edge-b hypervisor=kvm-1')).toMatchObject({ outcome: 'done' })
  })
})

test('store types has a row for each primary storage, with its default and the stores that fit', async () => {
  using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': RUNNING, 'edge-c': RUNNING })
  await it.run('store edit edge-b provider=nfs')
  await it.run('store edit edge-c provider=tape')
  expect((await it.run('store types')).rows.map(({ cells }) => [cells['primary'], cells['local'], cells['nfs'], cells['stores']])).toEqual([
    ['local', 'default', 'yes', 'edge-a, edge-b'],
    ['nfs', 'yes', 'default', 'edge-a, edge-b'],
    ['shared-block', 'default', 'yes', 'edge-a, edge-b'],
    ['ceph', 'default', 'yes', 'edge-a, edge-b'],
  ])
  expect((await it.run('store types primary=nfs')).json).toMatchObject({
    defaultType: 'local',
    items: [{ primary: 'nfs', default: 'nfs', fits: { local: 'yes', nfs: 'default' } }],
  })
})
