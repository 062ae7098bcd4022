// Which image a text means: its id, its name or a part of its id, where, and what is said when that is not clear.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { findImages, oneImage } from '../../../../bot/commands/image/find.ts'
import type { SearchScope } from '../../../../bot/commands/image/find.ts'
import type { Role } from '../../../../protocol/access.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { imageOf, openScriptedFleet, page, refuse, storeOf } from '../scripted-fleet.ts'
import type { Asked, Script } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const MOUNT = { name: 'mount-path', state: 'failed', measured: 'Input/output error', limit: null, impact: 'No image can be read.', action: 'Mount it.' }
const idOf = (n: number): string => imageOf(n).id
const deleted = (n: number, members: Partial<Image> = {}): Image => imageOf(n, { status: 'deleted', ...members })

/** Stores with their images, in lists and alone. */
function open(stores: Readonly<Record<string, readonly Image[]>>, script: Script = {}) {
  const fleet = openScriptedFleet(
    Object.fromEntries(
      Object.entries(stores).map(([name, images]) => [
        name,
        {
          'GET /images': ({ query }: Asked) => page(images.filter(({ status }) => (status === 'deleted') === (query['status'] === 'deleted'))),
          '*': ({ request }: Asked) => {
            const found = images.find(({ id }) => request === `GET /images/${id}`)
            return found && { ...found, uniqueSize: 7 }
          },
          ...script,
        },
      ]),
    ),
  )
  const context = (role: Role = 'admin') => fleet.bot.context({ name: 'ann', role }, 'console')
  const find = async (text: string, scope?: SearchScope, role?: Role): Promise<string[]> =>
    (await findImages(context(role), text, fleet.bot.fleet.registry.list(), scope)).found.map(({ store, image }) => `${image.name} ${store.name}`)
  const one = (text: string, { store, scope, option }: { readonly store?: string; readonly scope?: SearchScope; readonly option?: 'store' | 'from' } = {}) =>
    oneImage(context(), text, store, scope, option)
  return { ...fleet, find, one, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

test.each<[SearchScope | undefined, string[], string[]]>([
  [undefined, ['disk edge-a'], []],
  ['listed', ['disk edge-a'], []],
  ['bin', [], ['old edge-a']],
  ['both', ['disk edge-a'], ['old edge-a']],
])('in the scope %p an image is found as %j, and one in the recycle bin as %j', async (scope, listed, bin) => {
  using it = open({ 'edge-a': [imageOf(1, { name: 'disk' }), deleted(2, { name: 'old' })] })
  for (const [number, name, found] of [
    [1, 'disk', listed],
    [2, 'old', bin],
  ] as const) {
    expect(await it.find(idOf(number), scope)).toEqual([...found])
    expect(await it.find(name, scope)).toEqual([...found])
    expect(await it.find(`000${number}`, scope)).toEqual([...found])
  }
})

test('a whole id is asked for alone, and everything else is searched in the lists that are meant', async () => {
  using it = open({ 'edge-a': [imageOf(1)] })
  const lists = (): string[] => it.sent.splice(0).filter((request) => request.includes('/images'))
  await it.find(idOf(1))
  expect(lists()).toEqual([`edge-a GET /images/${idOf(1)}`])
  await it.find('disk-1')
  expect(lists().map((request) => request.includes('status=deleted'))).toEqual([false])
  await it.find('disk-1', 'bin')
  expect(lists().map((request) => request.includes('status=deleted'))).toEqual([true])
  await it.find('disk-1', 'both')
  expect(lists().map((request) => request.includes('status=deleted'))).toEqual([false, true])
})

test('an image of this name comes before those whose id has the text', async () => {
  using it = open({ 'edge-a': [imageOf(1, { name: '0002' }), imageOf(2, { name: 'disk' })] })
  expect(await it.find('0002')).toEqual(['0002 edge-a'])
  expect(await it.find('0001')).toEqual(['0002 edge-a'])
  expect(await it.find('isk')).toEqual([])
})

test('an agent that lists other images than it was asked for changes nothing', async () => {
  const all = [imageOf(1, { name: 'disk' }), deleted(2, { name: 'old' })]
  using it = open({ 'edge-a': all }, { 'GET /images': page(all) })
  expect([await it.find('old'), await it.find('disk', 'bin'), await it.find('old', 'both')]).toEqual([[], [], ['old edge-a']])
})

test('people below operator find no image that is given to others', async () => {
  using it = open({ 'edge-a': [imageOf(1, { name: 'disk', grants: [{ subject: 'user:bob', rights: ['read'] }] }), imageOf(2, { name: 'lab', hidden: true })] })
  for (const name of ['disk', 'lab'])
    expect([await it.find(name, 'listed', 'operator'), await it.find(name, 'listed', 'uploader')]).toEqual([[`${name} edge-a`], []])
})

describe('one image', () => {
  test('has what only the answer about it has, and what deleting does in its store', async () => {
    using it = open({ 'edge-a': [imageOf(1)], 'edge-b': [] }, { 'GET /store': storeOf({ retention: { deletion: 'never', seconds: 0 } }) })
    expect(await it.one('disk-1')).toMatchObject({ store: { name: 'edge-a' }, image: { uniqueSize: 7 }, retention: { deletion: 'never' } })
    using silent = open({ 'edge-a': [imageOf(1)] }, { 'GET /store': refuse('shutting-down', 'Not now.') })
    expect(await silent.one('disk-1')).not.toHaveProperty('retention')
  })

  test('of a store that cannot read its files is what the list has', async () => {
    using it = open({ 'edge-a': [imageOf(1)] }, { 'GET /health': { state: 'error', checks: [MOUNT], asOf: '2026-01-01T00:00:00.000Z' } })
    expect(await it.one('disk-1')).toMatchObject({ storeFailure: { isUnreadable: true } })
    expect(it.asked).not.toContain(`edge-a GET /images/${idOf(1)}`)
  })

  test('that several stores have needs the store, under the name of the option', async () => {
    using it = open({ 'edge-a': [imageOf(1)], 'edge-b': [imageOf(1)] })
    expect(it.one('disk-1')).rejects.toMatchObject({
      problem: { detail: 'disk-1 is in edge-a and edge-b.', action: 'Add store=NAME to say which copy you mean.' },
    })
    expect(it.one('disk-1', { option: 'from' })).rejects.toMatchObject({ problem: { action: 'Add from=NAME to say which copy you mean.' } })
    expect((await it.one('disk-1', { store: 'edge-b' })).store.name).toBe('edge-b')
  })

  test('of a name that several have needs the id', async () => {
    using it = open({ 'edge-a': [imageOf(1, { name: 'disk' }), deleted(2, { name: 'disk' })] })
    expect(it.one('disk', { scope: 'both' })).rejects.toMatchObject({
      problem: { detail: `2 images match "disk": ${idOf(1)} in edge-a, ${idOf(2)} in the recycle bin of edge-a.`, action: 'Use the id.' },
    })
    expect((await it.one('disk')).image.id).toBe(idOf(1))
  })

  test.each<[SearchScope, string, string, string]>([
    ['listed', 'No store has an image "x".', 'edge-a has no image "x".', 'List images with image list'],
    ['bin', 'No recycle bin has an image "x".', 'The recycle bin of edge-a has no image "x".', 'List deleted images with image bin'],
    ['both', 'No store and no recycle bin has an image "x".', 'Neither edge-a nor its recycle bin has an image "x".', 'List images with image list'],
  ])('that is not there in the scope %s: %s', async (scope, nowhere, there, action) => {
    using it = open({ 'edge-a': [], 'edge-b': [] })
    expect(it.one('x', { scope })).rejects.toMatchObject({ problem: { detail: nowhere, action: expect.stringContaining(action) } })
    expect(it.one('x', { scope, store: 'edge-a' })).rejects.toMatchObject({ problem: { detail: there } })
    using only = open({ 'edge-a': [] })
    expect(only.one('x', { scope })).rejects.toMatchObject({ problem: { detail: there } })
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  })

  test('that is not there names the stores that did not answer', async () => {
    using it = open({ 'edge-a': [] }, { 'GET /images': () => new Response('<html>') })
    expect(it.one('x')).rejects.toThrow(/edge-a has no image "x"\. edge-a has been Stopped since/)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  })

  test('of a fleet without stores says that there is none', () => {
    using it = open({})
    expect(it.one('x')).rejects.toThrow('No store is registered.')
  })
})
