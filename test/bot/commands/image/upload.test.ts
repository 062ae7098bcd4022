// `image upload` with a file of this machine: what is asked of the store before the first byte, what is sent with the file, and what is waited for.

import { expect, test } from 'bun:test'
import type { FileOrder, FileSender } from '../../../../bot/commands/command.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { View } from '../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, storeOf } from '../scripted-fleet.ts'

const ID = 'img_00000000000000000000000001'
const SENT = { imageId: ID, resumedFrom: 0, length: 1000, saving: undefined }

/** Takes every file, and remembers the orders. */
function takeAll(orders: FileOrder[]): FileSender {
  return {
    length: async () => 1000,
    send: async (order) => {
      orders.push(order)
      return SENT
    },
  }
}

test('sends the file with its own name, the options and the token of the store', async () => {
  using it = openScriptedFleet({ 'edge-a': { [`GET /images/${ID}`]: imageOf(1) } })
  const orders: FileOrder[] = []
  await it.run('image upload /srv/disks/a.raw os=debian-12 labels=env=test,team=web description="Base of all"', { files: takeAll(orders) })
  await it.run('image upload a.raw name=other', { files: takeAll(orders) })
  expect(orders.map(({ path, url, token, metadata }) => [path, url, token, metadata])).toEqual([
    [
      '/srv/disks/a.raw',
      'http://edge-a.example',
      'x',
      { filename: 'a.raw', name: 'a.raw', os: 'debian-12', description: 'Base of all', labels: '{"env":"test","team":"web"}' },
    ],
    ['a.raw', 'http://edge-a.example', 'x', { filename: 'a.raw', name: 'other' }],
  ])
})

test('a disabled store gets no byte, and the answer says why', async () => {
  for (const [reason, text] of [
    ['A new disk comes.', 'edge-a is disabled: A new disk comes.'],
    [null, 'edge-a is disabled.'],
  ] as const) {
    using it = openScriptedFleet({ 'edge-a': { 'GET /store': storeOf({ enabled: false, disabledReason: reason }) } })
    const orders: FileOrder[] = []
    const view = await it.run('image upload a.raw', { files: takeAll(orders) })
    expect([view.outcome, view.text, orders]).toEqual(['failed', text, []])
  }
})

test('waits until the store has inspected the image, and looks four times a second', async () => {
  const states = ['uploading', 'pending', 'creating', 'available'] as const
  let looks = 0
  using it = openScriptedFleet({ 'edge-a': { [`GET /images/${ID}`]: () => imageOf(1, { status: states[looks++] ?? 'available' }) } })
  const answer = it.run('image upload a.raw', { files: takeAll([]) })
  for (let look = 1; look <= 3; look++) {
    await it.clock.untilSleeping(1)
    it.clock.advance(249)
    expect(looks).toBe(look)
    it.clock.advance(1)
  }
  const view = await answer
  expect([looks, view.outcome, view.title]).toEqual([4, 'done', 'Image disk-1 uploaded to edge-a'])
})

test('an image that the store cannot use is a failure, with its reason', async () => {
  for (const [statusReason, text] of [
    ['Its backing file is missing.', 'Its backing file is missing.'],
    [null, 'The image cannot be used.'],
  ] as const) {
    using it = openScriptedFleet({ 'edge-a': { [`GET /images/${ID}`]: imageOf(1, { status: 'error', statusReason }) } })
    const view = await it.run('image upload a.raw', { files: takeAll([]) })
    expect([view.outcome, view.text]).toEqual(['failed', text])
  }
})

test('a file of which the last run had sent everything says nothing of savings, and one byte does', async () => {
  using it = openScriptedFleet({ 'edge-a': { [`GET /images/${ID}`]: imageOf(1) } })
  const saving = { wireBytes: 1, newBytes: 1, storedBytes: 0, zeroBytes: 0 }
  const notesAt = async (resumedFrom: number): Promise<readonly string[]> =>
    (await it.run('image upload a.raw', { files: { ...takeAll([]), send: async () => ({ ...SENT, resumedFrom, saving }) } })).notes
  expect(await notesAt(1000)).toEqual(['Resumed at 1.0 kB: an earlier run had sent everything before.'])
  expect(await notesAt(999)).toEqual([
    'Resumed at 999 B: an earlier run had sent everything before.',
    'Sent 1 B for 1 B: 1 B new, 0 B already stored, 0 B zeros.',
  ])
  expect(await notesAt(0)).toEqual(['Sent 1 B for 1.0 kB: 1 B new, 0 B already stored, 0 B zeros.'])
})

test('--dry-run asks the store about the length of the file and sends nothing', async () => {
  const plan = {
    ...{ dryRun: true, source: { kind: 'url', location: 'this machine', filename: 'a.raw', length: 1000, canResume: true } },
    ...{ image: { name: 'a.raw' }, space: { neededBytes: 1000, availableBytes: 5000 } },
    ...{ limits: { lengthMax: 1e12, imagesPerOwnerMax: 3, bytesPerOwnerMax: 9e9 }, objections: [] },
  }
  using it = openScriptedFleet({ 'edge-a': { 'POST /images': plan } })
  const orders: FileOrder[] = []
  const view = await it.run('image upload /srv/a.raw --dry-run', { files: takeAll(orders) })
  expect([view.outcome, view.title, orders, it.sent.filter((request) => request.includes('POST'))]).toEqual([
    'done',
    'Upload of a.raw to edge-a',
    [],
    ['edge-a POST /images {"name":"a.raw","description":"","source":{"length":1000},"dryRun":true}'],
  ])
  expect(view.fields.at(-1)?.value).toBe('1.0 TB for an image, 3 images for an owner, 9.0 GB for all images of an owner')
})

test('what belongs to links or to the console is refused before anything is sent', async () => {
  using it = openScriptedFleet({ 'edge-a': {} })
  const orders: FileOrder[] = []
  for (const line of ['image upload a.raw for=2h', 'image upload a.raw max=5GB'])
    expect((await it.run(line, { files: takeAll(orders) })).text).toBe('for= and max= apply to links only.')
  expect((await it.run('image upload --dry-run', { files: takeAll(orders) })).text).toBe('--dry-run needs the path of a file.')
  expect((await it.run('image upload a.raw')).text).toBe('Files are uploaded from the console only.')
  expect([orders, it.asked]).toEqual([[], []])
})

test('a refusal of the agent says what to do', async () => {
  using it = openScriptedFleet({ 'edge-a': {} })
  const send = async (): Promise<never> => {
    throw problem('insufficient-storage', 'There is no space.')
  }
  const view = await it.run('image upload a.raw', { files: { ...takeAll([]), send } })
  expect([view.outcome, view.title, view.text]).toEqual(['failed', 'Not enough space above the reserve', 'There is no space.'])
})

test('shows how far the file is, with the rate and the time left since the first report', async () => {
  using it = openScriptedFleet({ 'edge-a': { [`GET /images/${ID}`]: imageOf(1) } })
  const seen: unknown[] = []
  const onInterim = ({ title, progress }: View): void => {
    const [followed] = progress
    const { rate, etaSeconds, done, total, unit } = followed?.task.progress ?? {}
    seen.push([title, followed?.store, followed?.task.subject, `${done} of ${total} ${unit}`, rate, etaSeconds])
  }
  const send: FileSender['send'] = async ({ onProgress }) => {
    // An earlier run has sent 400 bytes.
    onProgress?.(400, 1000)
    it.clock.advance(2000)
    onProgress?.(600, 1000)
    it.clock.advance(2000)
    onProgress?.(1000, 1000)
    return SENT
  }
  await it.run('image upload a.raw name=base', { files: { ...takeAll([]), send }, onInterim })
  const title = 'Upload of base to edge-a'
  expect(seen.slice(0, 3)).toEqual([
    [title, 'edge-a', 'base', '400 of 1000 bytes', 0, null],
    [title, 'edge-a', 'base', '600 of 1000 bytes', 100, 4],
    [title, 'edge-a', 'base', '1000 of 1000 bytes', 150, 0],
  ])
})

test('an upload leads to a copy in another store, if there is one and the image can be used', async () => {
  const show = [`Show: image show ${ID} store=edge-a (viewer)`]
  const copy = [`Copy to edge-b: image sync ${ID} to=edge-b (operator)`]
  for (const [stores, status, actions] of [
    [['edge-a'], 'available', show],
    [['edge-a', 'edge-b'], 'available', [...copy, ...show]],
    [['edge-a', 'edge-b'], 'error', show],
  ] as const) {
    using it = openScriptedFleet(Object.fromEntries(stores.map((name) => [name, { [`GET /images/${ID}`]: imageOf(1, { status }) }])))
    const view = await it.run('image upload a.raw store=edge-a', { files: takeAll([]) })
    expect(view.actions.map(({ label, command, role }) => `${label}: ${command} (${role})`)).toEqual([...actions])
  }
})

test('a file of which the agent does not return the image is in the store all the same', async () => {
  using it = openScriptedFleet({ 'edge-a': {} })
  const saving = { wireBytes: 1, newBytes: 1, storedBytes: 0, zeroBytes: 0 }
  const view = await it.run('image upload a.raw', { files: { ...takeAll([]), send: async () => ({ ...SENT, imageId: undefined, saving }) } })
  expect([view.outcome, view.text, view.notes.length, view.json]).toMatchObject([
    'done',
    'All 1.0 kB are in the store, but the agent did not return the id of the image. Find it with image list.',
    1,
    { store: 'edge-a', length: 1000, wireBytes: 1 },
  ])
})

test('a link carries the draft, its bounds and how long it lasts', async () => {
  const LINK = { id: 'lnk_1', url: 'http://edge-a.example/l/secret', expiresAt: '2026-01-01T02:00:00.000Z', kind: 'upload' }
  using it = openScriptedFleet({ 'edge-a': { 'POST /links': LINK } })
  const named = await it.run('image upload name=base os=debian-12 description="Base of all" max=5GB for=2h')
  expect(named.title).toBe('Link to upload base to edge-a')
  expect(named.fields.map(({ label }) => label)).toEqual(['Link', 'Begin before', 'Largest file', 'With curl', 'With a tus client', 'To end it'])
  expect(named.followedLink).toEqual({ store: 'edge-a', id: 'lnk_1', name: 'base', maxLength: 5_000_000_000, expiresAt: LINK.expiresAt, by: 'ann' })
  const bare = await it.run('image upload')
  expect([bare.title, bare.isPrivate, bare.followedLink]).toMatchObject(['Link to upload an image to edge-a', true, { name: null, maxLength: null }])
  expect(bare.fields.map(({ label }) => label)).not.toContain('Largest file')
  const [first, second] = it.sent
    .filter((request) => request.includes('POST /links'))
    .map((request) => JSON.parse(request.slice(request.indexOf('{'))) as object)
  expect(first).toEqual({ kind: 'upload', ttlSeconds: 7200, draft: { os: 'debian-12', description: 'Base of all' }, name: 'base', maxLength: 5_000_000_000 })
  expect(second).toMatchObject({ kind: 'upload', draft: {} })
  expect(second).not.toContainAnyKeys(['name', 'maxLength', 'origin'])
  expect((await it.run('image upload max=big')).text).toBe('max=big is not a size.')
})
