// What `store delete` reads before it asks for the name: tasks, images up to a bound, copies in other stores, and what the catalogue knows of a silent store.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../../../protocol/images/image.ts'
import { heldOf } from '../../../../../bot/fleet/catalogue/held-image.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page, storeOf } from '../../scripted-fleet.ts'
import type { Asked, Script, ScriptedFleet } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const EMPTY: Script = { 'GET /tasks': page([]), 'GET /images': page([]) }
const silent = (): never => {
  throw new TypeError('connection refused')
}
const SILENT: Script = { 'GET /health': silent, 'GET /store': silent, 'GET /images': silent, 'GET /tasks': silent }
const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`
const alone = (number: number, members: Partial<Image> = {}): Image =>
  imageOf(number, { digest: digestOf(String(number % 10)), manifestDigest: null, length: 4, storedSize: 4, ...members })

function itemsOf({ json }: View): Record<string, { readonly passed: boolean; readonly detail: string }> {
  const { checklist } = json as { readonly checklist: readonly { readonly label: string; readonly passed: boolean; readonly detail: string }[] }
  return Object.fromEntries(checklist.map(({ label, passed, detail }) => [label, { passed, detail }]))
}

function planOf({ json }: View): Record<string, string> {
  const { plan } = json as { readonly plan: readonly { readonly label: string; readonly value: string }[] }
  return Object.fromEntries(plan.map(({ label, value }) => [label, value]))
}

describe('the plan', () => {
  test('asks for queued tasks first, so that one that begins meanwhile is found among those that run', async () => {
    using it = openScriptedFleet({ 'edge-a': EMPTY })
    await it.run('store delete edge-a')
    expect(it.sent.filter((request) => request.includes('/tasks'))).toEqual([
      'edge-a GET /tasks?state=queued&limit=1000',
      'edge-a GET /tasks?state=running&limit=1000',
    ])
  })

  test('does not ask other stores for images that the store does not have', async () => {
    using it = openScriptedFleet({ 'edge-a': EMPTY, 'edge-b': EMPTY })
    const view = await it.run('store delete edge-a')
    expect(it.asked).not.toContain('edge-b GET /images')
    expect([view.notes, planOf(view)]).toEqual([[], { 'Held by edge-a': 'no image', Duration: 'about 1 s' }])
  })

  test('has the length of what the store holds, and how long one copy takes', async () => {
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': page([alone(1)]) }, 'edge-b': EMPTY })
    expect(planOf(await it.run('store delete edge-a copy-to=edge-b'))).toMatchObject({
      'Held by edge-a': '1 image, 4 B long; they stay on its disk',
      'Duration of the copies to edge-b': expect.any(String),
    })
  })

  test('reads 10,000 images, counts the others, and copies none of so many', async () => {
    const images = Array.from({ length: 10_001 }, (_unused, i) => alone(i + 1, { length: i < 10_000 ? 1 : 1e12 }))
    const more = storeOf({ images: { available: 12_000, deleted: 0, other: 34 } })
    const paged = ({ query }: Asked) => {
      const from = Number(query['cursor'] ?? 0)
      return page(images.slice(from, from + 1000), from + 1000 < images.length ? String(from + 1000) : null)
    }
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': paged, 'GET /store': more }, 'edge-b': EMPTY })
    const view = await it.run('store delete edge-a copy-to=edge-b')
    const items = itemsOf(view)
    expect(items['Images in edge-a']?.detail).toStartWith('12034 images (disk-1, ')
    expect(items['Images only in edge-a']).toEqual({
      passed: false,
      detail: 'edge-a has 10000 images or more; copy them with a policy first, and leave out copy-to=',
    })
    expect(planOf(view)['Held by edge-a']).toBe('10000 images or more, 10 kB long; they stay on its disk')
  })
})

describe('a copy that stays', () => {
  const only = async (copy: Partial<Image>, health?: object): Promise<string | undefined> => {
    const other: Script = { ...EMPTY, 'GET /images': page([alone(1, copy)]), ...(health ? { 'GET /health': health } : {}) }
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': page([alone(1)]) }, 'edge-b': other })
    return itemsOf(await it.run('store delete edge-a'))['Images only in edge-a']?.detail.split(':')[0]
  }
  const failing = (name: string) => ({
    state: 'error',
    checks: [{ name, state: 'failed', measured: 'Input/output error', limit: null, impact: 'No image can be read.', action: 'Mount it.' }],
    asOf: '2026-01-01T00:00:00.000Z',
  })

  test.each<[what: string, copy: Partial<Image>, health: object | undefined, only: string]>([
    ['counts', {}, undefined, 'none'],
    ['does not count when it is damaged', { status: 'degraded' }, undefined, '1 image (disk-1)'],
    ['does not count when its mount path cannot be read', {}, failing('mount-path'), '1 image (disk-1)'],
    ['counts when something else fails in its store', {}, failing('clock'), 'none'],
  ])('%s', async (_what, copy, health, expected) => {
    expect(await only(copy, health)).toBe(expected)
  })
})

describe('a target', () => {
  const disabled: Script = { ...EMPTY, 'GET /store': storeOf({ name: 'edge-b', enabled: false, disabledReason: 'full' }) }

  test.each([
    [[], true, 'none'],
    [[alone(1)], false, 'edge-b is disabled; run store enable edge-b'],
  ])('that is disabled gets none of %#', async (images, passed, detail) => {
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': page(images) }, 'edge-b': disabled })
    expect(itemsOf(await it.run('store delete edge-a copy-to=edge-b'))['Copies to edge-b']).toEqual({ passed, detail })
  })

  test('takes over hypervisors as long as it has room for them', async () => {
    using it = openScriptedFleet({ 'edge-a': EMPTY, 'edge-b': EMPTY })
    await it.run('store bind edge-a hypervisor=kvm-1')
    await it.run(`store bind edge-b hypervisor=${Array.from({ length: 255 }, (_unused, i) => `other-${i}`).join(',')}`)
    const item = async () => itemsOf(await it.run('store delete edge-a repoint-to=edge-b'))['Hypervisors bound to edge-a']
    expect(await item()).toEqual({ passed: true, detail: 'kvm-1; they are bound to edge-b instead' })
    await it.run('store bind edge-a hypervisor=kvm-2')
    expect(await item()).toEqual({ passed: false, detail: 'kvm-1, kvm-2; edge-b has room for 1: run store unbind first' })
  })
})

describe('of a store that does not answer', () => {
  /** edge-a is silent and held these images; edge-b answers. */
  const open = (images: readonly Image[], { beyond = 0, isRead = true, other = [] as readonly Image[] } = {}): ScriptedFleet => {
    const it = openScriptedFleet({ 'edge-a': SILENT, 'edge-b': { ...EMPTY, 'GET /images': page(other) } })
    it.bot.fleet.registry.change('edge-a', { storeId: '11111111-2222-4333-8444-555555555555' })
    const held = it.bot.catalogue.open('edge-a')
    if (!held) throw new Error('edge-a is not registered')
    it.bot.catalogue.put(
      held,
      images.map((image) => heldOf(image, it.clock.nowMs())),
    )
    if (isRead) it.bot.catalogue.verified([{ key: held.key, asOfMs: it.clock.nowMs(), beyond }])
    return it
  }
  const LINE = 'store delete edge-a --unreachable'

  test('the images that it held are named from the catalogue, hidden ones too, but not its recycle bin', async () => {
    using it = open([alone(1, { hidden: true }), alone(2, { status: 'deleted' })], { beyond: 3 })
    const view = await it.run(LINE)
    expect(itemsOf(view)['Images in edge-a']).toEqual({
      passed: true,
      detail:
        'as of 2026-01-01 00:00:00 UTC, 4 images (disk-1 and 3 more): they stay on the disk of the store, but the bot no longer lists, syncs or watches them until the store is added again',
    })
    expect(itemsOf(view)['Contact with edge-a']).toEqual({ passed: true, detail: 'edge-a does not answer; its tasks are unknown' })
    expect(planOf(view)['Held by edge-a']).toBe('1 image, 4 B long; as the bot last knew them')
  })

  test.each([
    [true, 'none, as of 2026-01-01 00:00:00 UTC'],
    [false, 'none, as far as the bot had read them'],
  ])('it may have held none (read completely: %p)', async (isRead, detail) => {
    using it = open([], { isRead })
    const items = itemsOf(await it.run(LINE))
    expect([items['Images in edge-a']?.detail, items['Images only in edge-a']?.detail]).toEqual([detail, 'none that the bot knows of'])
  })

  test('what no other store has would be lost; what another one has would not', async () => {
    using it = open([alone(1), alone(2)], { other: [alone(2)] })
    expect(itemsOf(await it.run(LINE))['Images only in edge-a']?.detail).toBe(
      '1 image (disk-1): no other store that answers has them, and nothing can be copied while the store does not answer',
    )
    using none = open([alone(2)], { other: [alone(2)] })
    expect(itemsOf(await none.run(LINE))['Images only in edge-a']?.detail).toBe('none that the bot knows of')
  })

  test('the plan changes when the last other copy vanishes', async () => {
    const other = [alone(1)]
    using it = open([alone(1)], { other })
    const planned = (await it.run(LINE)).confirm?.command ?? ''
    other.pop()
    expect(await it.run(`${planned} --confirm edge-a`)).toMatchObject({ outcome: 'refused', text: expect.stringContaining('The plan has changed') })
  })

  test('without --unreachable it is kept', async () => {
    using it = open([])
    const { passed, detail } = itemsOf(await it.run('store delete edge-a'))['Contact with edge-a'] ?? {}
    expect([passed, detail]).toEqual([false, expect.stringMatching(/^edge-a does not answer \(.+\); start it again, or add --unreachable$/)])
  })
})
