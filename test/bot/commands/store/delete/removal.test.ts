// `store delete` with copy-to= and repoint-to=: what the target gets, and what speaks against it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Image } from '../../../../../protocol/images/image.ts'
import type { Store } from '../../../../../protocol/store.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page, storeOf } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const TASKS = { 'GET /tasks': page([]) }

function openPair(images: readonly Image[], target: Partial<Store> = {}) {
  return openScriptedFleet({
    'edge-a': { ...TASKS, 'GET /images': page(images) },
    'edge-b': { ...TASKS, 'GET /images': page([]), 'GET /store': storeOf({ name: 'edge-b', ...target }) },
  })
}

function itemsOf({ json }: View): Record<string, { readonly passed: boolean; readonly detail: string }> {
  const { checklist } = json as { readonly checklist: readonly { readonly label: string; readonly passed: boolean; readonly detail: string }[] }
  return Object.fromEntries(checklist.map(({ label, passed, detail }) => [label, { passed, detail }]))
}

describe('copies to the target', () => {
  const five = imageOf(1, { storedSize: 3 })
  const unknown = imageOf(2, { storedSize: null, length: 4 })

  test('are the images that no other store has, with the bytes that they take at most', async () => {
    using it = openPair([five, unknown])
    const view = await it.run('store delete edge-a copy-to=edge-b')
    expect(itemsOf(view)['Copies to edge-b']).toEqual({ passed: true, detail: '2 images, up to 7 B' })
    expect(itemsOf(view)['Images only in edge-a']?.detail).toContain('they are copied to edge-b before edge-a is removed')
    expect(view.confirm?.promises?.map(({ label }) => label)).toContain('Duration of the copies to edge-b')
  })

  test('are none of a store without images, which takes a second', async () => {
    using it = openPair([])
    const view = await it.run('store delete edge-a copy-to=edge-b')
    expect(itemsOf(view)['Copies to edge-b']).toEqual({ passed: true, detail: 'none' })
    expect(view.confirm?.promises).toContainEqual({ label: 'Duration', value: 'about 1 s' })
  })

  test.each([
    [{ enabled: false, disabledReason: 'full' }, 'edge-b is disabled; run store enable edge-b'],
    [{ imagesEnabled: false }, 'images are switched off in edge-b; run store edit edge-b images=on'],
    [{ capacity: { total: 100, used: 94, free: 6, reserved: 0, available: 6 } }, 'they need up to 7 B, and edge-b has 6 B above its reserve'],
  ] as const)('are refused by a target with %j', async (target, detail) => {
    using it = openPair([five, unknown], target)
    expect(itemsOf(await it.run('store delete edge-a copy-to=edge-b'))['Copies to edge-b']).toEqual({ passed: false, detail })
  })

  test('fit into a target that has exactly the room for them', async () => {
    using it = openPair([five, unknown], { capacity: { total: 100, used: 93, free: 7, reserved: 0, available: 7 } })
    expect(itemsOf(await it.run('store delete edge-a copy-to=edge-b'))['Copies to edge-b']).toMatchObject({ passed: true })
  })
})

test('bindings follow repoint-to=, and a store without any says so', async () => {
  using bound = openPair([imageOf(1, { name: 'root', bindings: ['vm-7'] })])
  expect(itemsOf(await bound.run('store delete edge-a repoint-to=edge-b'))['Bindings of edge-a']).toEqual({
    passed: true,
    detail: 'root for vm-7: edge-b binds its copies to these instances; the bindings of edge-a stay until the instances read from edge-b',
  })
  using free = openPair([imageOf(1)])
  expect(itemsOf(await free.run('store delete edge-a repoint-to=edge-b'))['Bindings of edge-a']).toEqual({ passed: true, detail: 'none' })
})

test('a policy that would copy the target to itself blocks; another one follows repoint-to=', async () => {
  using it = openPair([])
  await it.run('policy add mirror follow=edge-a store=edge-b')
  const policies = async (line: string) => itemsOf(await it.run(line))['Policies that name edge-a']
  expect(await policies('store delete edge-a repoint-to=edge-b')).toEqual({
    passed: false,
    detail: 'mirror would copy edge-b to itself; run policy edit or policy delete first',
  })
  expect((await policies('store delete edge-a'))?.passed).toBe(false)
})
