// Zones as objects: adding, attaching, findings, and removing a zone with its stores.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../bot/open.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import { uploadedImage } from '../../../support/agents/uploaded-image.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'
import { openScriptedFleet, page, refuse, storeOf } from '../scripted-fleet.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const RUNNING = { 'GET /images': page([]), 'GET /tasks': page([]) }
const GONE = { 'GET /health': refuse('unauthenticated', 'The token is not valid.'), 'GET /store': refuse('unauthenticated', 'The token is not valid.') }

describe('a zone', () => {
  test('is listed with its description, and stays without stores', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING })
    expect((await it.run('zone list')).json).toMatchObject({ items: [{ name: 'zone-1', description: '', state: 'running' }] })
    expect(await it.run('zone add zone-2 description="Second site"')).toMatchObject({ outcome: 'done', title: 'Zone zone-2 added' })
    expect(await it.run('zone add name=zone-2')).toMatchObject({ outcome: 'failed', text: 'There is a zone zone-2 already.' })
    expect((await it.run('zone list')).rows.map(({ cells }) => [cells['zone'], cells['state'], cells['stores'], cells['description']])).toEqual([
      ['zone-1', 'Running', 'edge-a (Running)', '–'],
      ['zone-2', 'no stores', '–', 'Second site'],
    ])
    await it.run('zone edit zone-2 description="Far away"')
    expect((await it.run('zone show zone-2')).fields).toContainEqual({ label: 'Description', value: 'Far away' })
  })

  test('that only its stores name goes with the last of them', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING })
    expect(await it.run('store edit edge-a zone=zone-7')).toMatchObject({ outcome: 'done' })
    expect((await it.run('zone list')).json).toMatchObject({ items: [{ name: 'zone-7' }] })
    await it.run('zone detach zone-7 edge-a')
    expect((await it.run('zone list')).json).toMatchObject({ items: [], unattached: ['edge-a'] })
  })

  test('gets and loses stores; a store belongs to one zone', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': RUNNING })
    await it.run('zone add zone-2')
    expect(await it.run('zone attach zone-2 edge-b')).toMatchObject({ outcome: 'failed', text: 'edge-b belongs to zone "zone-1". Nothing was changed.' })
    expect(await it.run('zone detach zone-2 edge-b')).toMatchObject({ outcome: 'failed', text: 'edge-b belongs to zone "zone-1". Nothing was changed.' })
    expect((await it.run('zone detach zone-1 edge-b')).json).toMatchObject({ detached: ['edge-b'], stores: ['edge-a'] })
    expect((await it.run('store list')).rows.map(({ cells }) => cells['zone'])).toEqual(['zone-1', '–'])
    expect((await it.run('zone attach zone-2 edge-b')).json).toMatchObject({ attached: ['edge-b'], stores: ['edge-b'] })
    expect((await it.run('store list zone=zone-2')).rows.map(({ cells }) => cells['name'])).toEqual(['edge-b'])
  })

  test('uses only stores that are attached to it, or whose scope is the region', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': RUNNING, hub: { ...RUNNING, 'GET /store': storeOf({ name: 'hub', scope: 'region' }) } })
    await it.run('zone add zone-2')
    await it.run('zone detach zone-1 edge-b hub')
    await it.run('zone attach zone-2 edge-b hub')
    await it.run('store list --fresh')
    const outside = await it.run('image list store=edge-b zone=zone-1')
    expect([outside.outcome, outside.text, outside.fields[0]?.value]).toEqual([
      'failed',
      'edge-b is in zone "zone-2" with the scope zone, so it does not serve zone "zone-1".',
      'These stores serve it: edge-a, hub.',
    ])
    expect((await it.run('image list store=edge-c zone=zone-1')).fields[0]?.value).toBe('Did you mean edge-a?')
    expect(await it.run('image list store=hub zone=zone-1')).toMatchObject({ outcome: 'done' })
    expect((await it.run('zone show zone-1')).fields).toContainEqual({ label: 'Also served by', value: 'hub' })
  })
})

describe('a zone without a healthy store', () => {
  test('is a finding of the fleet and of the zone, the one with the most stores first', async () => {
    using it = openScriptedFleet({ 'edge-a': RUNNING, 'edge-b': GONE, 'edge-c': GONE, 'edge-d': GONE })
    await it.run('zone add zone-2')
    await it.run('zone add zone-3')
    await it.run('zone add zone-4')
    await it.run('zone detach zone-1 edge-b edge-c edge-d')
    await it.run('zone attach zone-3 edge-b edge-c')
    await it.run('zone attach zone-2 edge-d')
    const view = await it.run('store health all')
    expect(view.tone).toBe('bad')
    expect(view.fields.slice(0, 3).map(({ label, tone }) => [label, tone])).toEqual([
      ['Zone zone-3', 'bad'],
      ['Zone zone-2', 'bad'],
      ['Zone zone-4', 'warning'],
    ])
    expect(view.fields[0]?.value).toContain('it has no healthy store: edge-b is Error, edge-c is Error. Images of this zone cannot be read')
    expect(view.json).toMatchObject({
      findings: [{ zone: 'zone-3', stores: ['edge-b', 'edge-c'] }, { zone: 'zone-2' }, { zone: 'zone-4', finding: 'it has no store' }],
    })
    expect((await it.run('store health zone=zone-1')).json).toMatchObject({ findings: [] })
    expect((await it.run('store health zone=zone-2')).json).toMatchObject({ findings: [{ zone: 'zone-2', stores: ['edge-d'] }] })
    const empty = await it.run('store health zone=zone-4')
    expect([empty.outcome, empty.text, empty.fields[0]?.label]).toEqual(['done', 'No store is attached to zone zone-4.', 'Zone zone-4'])
  })

  test('is not changed by zone edit, which says so', async () => {
    using it = openScriptedFleet({ 'edge-a': GONE, 'edge-b': { ...RUNNING, 'PATCH /store': storeOf() } })
    const part = await it.run('zone edit zone-1 images=off')
    expect([part.outcome, part.title]).toEqual(['failed', 'Zone zone-1 changed in part'])
    await it.run('zone detach zone-1 edge-b')
    const none = await it.run('zone edit zone-1 images=off')
    expect([none.outcome, none.title, none.text]).toEqual([
      'failed',
      'Images of zone zone-1 not switched off',
      'Images are switched off in 0 of 1 store. Run the command again when the others answer.',
    ])
  })
})

describe('zone delete', () => {
  const add = (bot: OpenBot, name: string, url: string, zone: string): void =>
    void bot.fleet.registry.add({ name, url, token: TEST_ADMIN_TOKEN, zone, provider: 'local', storeId: null }, systemClock.nowMs())

  test('shows the checklist of its stores, asks for the name, and removes zone and registrations', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.file('a'))
    await using other = await startAgent(folder.file('b'))
    using bot = openTestBot(folder.file('home'))
    add(bot, 'edge-a', agent.url, 'zone-1')
    add(bot, 'edge-b', other.url, 'zone-2')
    await uploadedImage(agent, 'sole', 1)
    expect((await runCommand(bot, 'policy', 'add', 'two', 'keep=1', 'zone=zone-1')).code).toBe(0)
    const checklist = async (): Promise<Record<string, { passed: boolean; detail: string }>> => {
      const { value } = await runJson(bot, 'zone', 'delete', 'zone-1')
      const items = value['checklist'] as { label: string; passed: boolean; detail: string }[]
      return Object.fromEntries(items.map(({ label, ...item }) => [label, item]))
    }
    expect(await checklist()).toMatchObject({
      'Stores edge-a': { passed: true },
      'Policies for zone-1': { passed: false, detail: 'two (zone zone-1); run policy edit or policy delete first' },
      'Roles in zone-1': { passed: true, detail: 'none' },
      'Images only in edge-a': { passed: true, detail: '1 image (sole): no other store has them; add copy-to=S to copy them to another store first' },
    })
    expect((await runCommand(bot, 'zone', 'delete', 'zone-1', '--confirm', 'zone-1')).code).toBe(1)
    expect((await runCommand(bot, 'policy', 'delete', 'two', '--confirm', 'two')).code).toBe(0)
    expect((await runCommand(bot, 'role', 'grant', 'operator', 'user=U0001', 'zone=zone-1')).code).toBe(0)
    expect((await checklist())['Roles in zone-1']).toMatchObject({ passed: false, detail: expect.stringContaining('user:U0001 operator') })
    expect((await runCommand(bot, 'role', 'revoke', 'user=U0001', 'zone=zone-1')).code).toBe(0)

    expect((await runCommand(bot, 'zone', 'delete', 'zone-1', '--confirm', 'edge-a')).output).toContain('is not the name "zone-1"')
    expect(bot.fleet.registry.list().map(({ name }) => name)).toEqual(['edge-a', 'edge-b'])
    const done = await runJson(bot, 'zone', 'delete', 'zone-1', 'copy-to=edge-b', '--confirm', 'zone-1')
    expect(done).toMatchObject({ code: 0, value: { zone: 'zone-1', removed: ['edge-a'], tasks: [{ store: 'edge-b', state: 'succeeded' }] } })
    expect(bot.fleet.registry.list().map(({ name }) => name)).toEqual(['edge-b'])
    expect((await runJson(bot, 'zone', 'list')).value['items']).toMatchObject([{ name: 'zone-2' }])
    expect((await other.client.images.list()).items.map(({ name }) => name)).toEqual(['sole'])
  })

  test('removes an empty zone, and a store that does not answer only with --unreachable', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    add(bot, 'edge-a', 'http://127.0.0.1:1', 'zone-1')
    expect((await runCommand(bot, 'zone', 'add', 'zone-2')).code).toBe(0)
    expect((await runCommand(bot, 'zone', 'delete', 'zone-2', '--confirm', 'zone-2')).output).toContain('Removed the zone zone-2')
    const refused = await runCommand(bot, 'zone', 'delete', 'zone-1', '--confirm', 'zone-1')
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('start it again, or add --unreachable')])
    expect((await runCommand(bot, 'zone', 'delete', 'zone-1', '--unreachable', '--confirm', 'zone-1')).code).toBe(0)
    expect((await runJson(bot, 'zone', 'list')).value['items']).toEqual([])
  })
})
