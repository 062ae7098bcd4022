// `store add`: names, stores that are registered already, a dry run, and what else may be wrong with commands that change the registration.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page, refuse, storeOf } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const RUNNING = { 'GET /images': page([]), 'GET /tasks': page([]), 'GET /session': { role: 'admin' } }

/** edge-a is registered; edge-b answers and is not. */
const open = () =>
  openScriptedFleet(
    { 'edge-a': RUNNING, 'edge-b': { ...RUNNING, 'GET /store': storeOf({ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555' }) } },
    { registered: ['edge-a'] },
  )

describe('store add', () => {
  test.each(['all', 'a/b', '-a', 'x'.repeat(64)])('refuses the name %s', async (name) => {
    using it = open()
    expect((await it.run(`store add name=${name} url=http://edge-b.example token=x zone=zone-1`)).text).toBe(`"${name}" cannot be the name of a store.`)
  })

  test('takes a name of 63 characters', async () => {
    using it = open()
    const name = 'x'.repeat(63)
    expect((await it.run(`store add name=${name} url=http://edge-b.example token=x zone=zone-1`)).title).toBe(`Store ${name} added`)
  })

  test('with the registered values changes nothing, and says that kinds= was not changed', async () => {
    using it = open()
    const line = 'store add name=edge-a url=http://edge-a.example token=x zone=zone-1'
    const [plain, kinds] = [await it.run(line), await it.run(`${line} kinds=iso`)]
    expect([plain.title, plain.notes]).toEqual(['Store edge-a is there already', []])
    expect([kinds.title, kinds.notes]).toEqual(['Store edge-a is there already', ['kinds= was not changed: store edit edge-a kinds=… does it.']])
    expect(it.sent.filter((request) => request.includes('PATCH'))).toEqual([])
  })

  test('with the registered address and other values is a conflict without a test', async () => {
    using it = open()
    const view = await it.run('store add name=edge-a url=http://edge-a.example token=x zone=zone-2')
    expect(view.text).toBe('A store edge-a is registered already, at http://edge-a.example. It differs: zone is zone-1, not zone-2. Nothing was changed.')
    expect(it.asked).toEqual([])
  })

  test('of a registered name at an address that fails says which step failed', async () => {
    using it = open()
    const view = await it.run('store add name=edge-a url=http://edge-b.example:nonsense token=x zone=zone-1')
    expect(view.text).toContain('A store edge-a is registered already, at http://edge-a.example.')
    expect(view.title).toBe('Connection test failed')
  })

  test.each([
    ['', undefined],
    ['kinds=all', 'all'],
    ['kinds=iso,base', 'iso, base'],
  ])('with --dry-run %s registers nothing, and shows the kinds %p', async (kinds, shown) => {
    using it = open()
    const view = await it.run(`store add name=edge-b url=http://edge-b.example token=x zone=zone-1 ${kinds} --dry-run`)
    expect([view.text, view.json]).toMatchObject(['The connection test passed. Nothing was registered.', { dryRun: true, name: 'edge-b' }])
    expect(view.fields.find(({ label }) => label === 'Kinds')?.value).toBe(shown)
    expect(it.bot.fleet.registry.find('edge-b')).toBeUndefined()
  })
})

describe('a refusal', () => {
  test.each([
    ['store bind edge-a hypervisor=,', 'store bind needs hypervisor=.'],
    ['store bind edge-a hypervisor=a/b', '"a/b" cannot be the name of a hypervisor.'],
    ['store maintenance edge-a --end for=2h', '--end takes neither for= nor until= nor reason=.'],
    ['store maintenance edge-a --end until=2026-02-01', '--end takes neither for= nor until= nor reason=.'],
    ['store maintenance edge-a --end reason=x', '--end takes neither for= nor until= nor reason=.'],
    ['store reconcile edge-a fnd_1', 'store reconcile lists all findings.'],
    ['store disable edge-a', 'It is refused.'],
  ])('%s: %s', async (line, text) => {
    using it = openScriptedFleet({ 'edge-a': { ...RUNNING, 'POST /store/disable': refuse('conflict', 'It is refused.') } })
    expect(await it.run(line)).toMatchObject({ outcome: 'failed', text })
  })
})
