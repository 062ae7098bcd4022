// Values of `store edit` as people write them, and what a store shows of them: kinds of images, the reserve, and uploads at once.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { kindsText, otherKinds, parseKinds } from '../../../../../bot/commands/store/edit/kinds.ts'
import { parseReserved, reserveWarning } from '../../../../../bot/commands/store/edit/reserve.ts'
import type { Store } from '../../../../../protocol/store.ts'
import { openScriptedFleet, page, storeOf } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const RUNNING = { 'GET /images': page([]), 'GET /tasks': page([]) }

describe('kinds=', () => {
  test.each([
    ['templat', 'Did you mean template?'],
    ['floppy', 'Write kinds with commas between them: '],
    ['', 'Write kinds with commas between them: '],
  ])('%p is refused: %s', (text, action) => {
    let problem: unknown
    try {
      parseKinds(text)
    } catch (error) {
      problem = (error as { problem: unknown }).problem
    }
    expect(problem).toMatchObject({ action: expect.stringContaining(action) })
  })

  test.each([
    [['iso'], ['iso'], 'iso'],
    [['iso'], [], 'iso (the configuration says all)'],
    [['iso'], ['base'], 'iso (the configuration says base)'],
    [['iso'], ['iso', 'base'], 'iso (the configuration says iso, base)'],
    [[], [], 'all'],
  ] as const)('%p with %p in the configuration are shown as %s', (accepted, configured, text) => {
    expect(kindsText({ accepted: [...accepted], configured: [...configured] })).toBe(text)
  })

  test.each([
    ['nothing without a restriction', [], { iso: 3 }, undefined],
    ['nothing when all is accepted', ['iso'], { iso: 3, base: 0 }, undefined],
    ['one image', ['base'], { iso: 1 }, '1 image of the kind iso'],
    ['images of two kinds', ['base'], { template: 3, iso: 1, base: 4 }, '1 image of the kind iso, 3 of the kind template'],
  ] as const)('that are not accepted any more: %s', (_what, accepted, counts, text) => {
    const one = (count: number) => ({ count, length: count, storedSize: count })
    const byKind = Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind, one(count)]))
    const store = { kinds: { accepted: [...accepted], configured: [] }, usage: { total: one(0), byKind } } as unknown as Pick<Store, 'kinds' | 'usage'>
    expect(otherKinds(store)).toBe(text)
  })
})

describe('reserved=', () => {
  test('is 1 PB at most', () => {
    expect(parseReserved('1PB')).toBe(1e15)
    expect(() => parseReserved('1000000000000001B')).toThrow('reserved=1000000000000001B is not a size of at most 1 PB.')
  })

  test.each([
    [1, 0, 0, undefined],
    [0, 0, 0, 'New images are refused until there is'],
    [0, 1, 0, '1 upload or task in progress may fail, and new images are refused until there is'],
    [0, 0, 1, '1 upload or task in progress may fail, and new images are refused until there is'],
    [0, 2, 1, '3 uploads and tasks in progress may fail, and new images are refused until there is'],
  ])('with %d bytes left, %d uploads and %d tasks warns: %p', (available, active, running, text) => {
    const store = storeOf({ capacity: { total: 9, used: 1, free: 8, reserved: 8, available }, uploads: { active } })
    const seen = { record: { name: 'edge-a' }, store, tasks: { running, queued: 0 } } as unknown as Parameters<typeof reserveWarning>[0]
    expect(reserveWarning(seen)).toEqual(text === undefined ? [] : [`edge-a has no space above the reserve now. ${text}: lower reserved=, or make room.`])
  })

  test('warns without knowing the tasks', () => {
    const store = storeOf({ capacity: { total: 9, used: 1, free: 8, reserved: 9, available: 0 } })
    const seen = { record: { name: 'edge-a' }, store, tasks: null } as unknown as Parameters<typeof reserveWarning>[0]
    expect(reserveWarning(seen)).toEqual(['edge-a has no space above the reserve now. New images are refused until there is: lower reserved=, or make room.'])
  })
})

test('upload-concurrency= is a number', async () => {
  using it = openScriptedFleet({ 'edge-a': { ...RUNNING, 'PATCH /store': storeOf() } })
  expect((await it.run('store edit edge-a upload-concurrency=abc')).text).toStartWith('upload-concurrency=abc is not')
})

test.each([
  [true, 'on'],
  [false, 'off'],
])('the form says what the settings are now: with imagesEnabled %p, images=%s', async (imagesEnabled, images) => {
  using it = openScriptedFleet({ 'edge-a': RUNNING })
  const { kept, registry } = it.bot.fleet
  const store = registry.find('edge-a')
  if (!kept || !store) throw new Error('the fleet keeps nothing')
  kept.runs.beat('test', it.clock.nowMs() - 60_000, it.clock.nowMs())
  const value = { health: { state: 'running', checks: [], asOf: '' }, store: storeOf({ imagesEnabled, description: 'Templates' }), tasks: null } as const
  kept.states.record([{ kind: 'answered', store, value: { ...value, health: { ...value.health, checks: [] } }, asOfMs: it.clock.nowMs() }])
  expect((await it.run('store edit edge-a', { surface: 'slack' })).form?.before).toEqual({
    ...{ name: 'edge-a', url: 'http://edge-a.example', zone: 'zone-1', provider: 'local' },
    ...{ description: 'Templates', deletion: 'delayed', images },
  })
})

test('a new address and token are registered once they were tested', async () => {
  using it = openScriptedFleet({ 'edge-a': { ...RUNNING, 'GET /health': { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' } } })
  expect((await it.run('store edit edge-a token=other')).title).toBe('Store edge-a changed')
  expect(it.bot.fleet.registry.find('edge-a')?.token).toBe('other')
})
