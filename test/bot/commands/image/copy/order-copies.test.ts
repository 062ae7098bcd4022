// `image sync`: which stores an image is copied from when several have it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { planCopies } from '../../../../../bot/commands/image/copy/order-copies.ts'
import type { FoundImage } from '../../../../../bot/commands/image/find.ts'
import type { StoreRecord } from '../../../../../bot/fleet/registry.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import { imageOf, openScriptedFleet, page, refuse } from '../../scripted-fleet.ts'
import type { Asked } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Opens stores with their images; each gives grants. The target edge-x refuses every sync; `ordered` are the stores from which it was to copy, dry runs left out. */
function openCopies(stores: Readonly<Record<string, readonly Image[]>>) {
  const ordered: string[][] = []
  const scripts = Object.entries(stores).map(([name, images]) => [
    name,
    { 'GET /images': page(images), 'POST /sync/grants': { id: 'tok_1', token: `grant-of-${name}`, expiresAt: '2026-01-04T00:00:00.000Z' } },
  ])
  const target = {
    'GET /images': page([]),
    'POST /sync': ({ body }: Asked) => {
      const { source, sources, dryRun } = body as { source?: { url: string }; sources?: { url: string }[]; dryRun?: boolean }
      if (dryRun !== true) ordered.push((sources ?? (source ? [source] : [])).map(({ url }) => new URL(url).hostname.replace('.example', '')))
      return refuse('conflict', 'Not now.')
    },
  }
  return { ordered, ...scopeOf(openScriptedFleet({ ...Object.fromEntries(scripts), 'edge-x': target })) }
}

function scopeOf(fleet: ReturnType<typeof openScriptedFleet>) {
  return { run: fleet.run, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

const disk = (number: number, members: Partial<Image> = {}): Image => imageOf(number, { name: 'disk', ...members })

test('an undamaged copy is used before a degraded one, whatever the order of the stores', async () => {
  using it = openCopies({ 'edge-a': [disk(1, { status: 'degraded' })], 'edge-b': [disk(1)], 'edge-c': [disk(1, { status: 'degraded' })] })
  await it.run('image sync disk to=edge-x')
  expect(it.ordered).toEqual([['edge-b']])
  await it.run('image sync disk to=edge-x from=edge-a,edge-b,edge-c')
  expect(it.ordered[1]).toEqual(['edge-b', 'edge-a', 'edge-c'])
})

test('a degraded copy is used when there is no other', async () => {
  using it = openCopies({ 'edge-a': [disk(1, { status: 'degraded' })], 'edge-b': [disk(1, { status: 'error', statusReason: 'It cannot be read.' })] })
  await it.run('image sync disk to=edge-x')
  expect(it.ordered).toEqual([['edge-a']])
})

test('an image that no store can read is refused with its status', async () => {
  using it = openCopies({ 'edge-a': [disk(1, { status: 'error', statusReason: 'its manifest is damaged' })] })
  expect(await it.run('image sync disk to=edge-x')).toMatchObject({ outcome: 'failed', text: 'disk is Error in edge-a: its manifest is damaged.' })
  expect(it.ordered).toEqual([])
})

test('two images of one name are never taken for copies of one', async () => {
  using it = openCopies({ 'edge-a': [disk(1)], 'edge-b': [disk(2)] })
  expect((await it.run('image sync disk to=edge-x')).text).toBe(
    '2 images match "disk": img_00000000000000000000000001 in edge-a, img_00000000000000000000000002 in edge-b.',
  )
  expect(it.ordered).toEqual([])
})

/** A fleet of so many sources, edge-1 and up, beside the targets edge-x and edge-y; an image has a copy in the stores that are named. */
function openPlan(sources: number) {
  const names = Array.from({ length: sources }, (_, n) => `edge-${n + 1}`)
  const fleet = openScriptedFleet(Object.fromEntries([...names, 'edge-x', 'edge-y'].map((name) => [name, {}])))
  const context = fleet.bot.context({ name: 'ann', role: 'admin' }, 'console')
  const stores = (...wanted: string[]): StoreRecord[] => fleet.bot.fleet.registry.list().filter(({ name }) => wanted.includes(name))
  const copies = (image: Image, ...wanted: string[]): FoundImage[] => stores(...wanted).map((store) => ({ store, image }))
  const plan = async (images: readonly FoundImage[][], targets: string[], from?: string[]) => {
    const { orders, notes, label } = await planCopies(context, { images, targets: stores(...targets), sources: from && stores(...from) })
    const words = orders.map(
      ({ source, others, target, images: of }) =>
        `${of.map(({ name }) => name).join('+')} from ${[source, ...others].map(({ name }) => name).join('+')} to ${target.name}`,
    )
    return { orders: words, notes, label }
  }
  return { ...fleet, context, names, stores, copies, plan, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

test('images that come from the same stores go into one order for each target', async () => {
  using it = openPlan(2)
  const [a, b, c] = [1, 2, 3].map((n) => imageOf(n)) as [Image, Image, Image]
  expect(await it.plan([it.copies(a, 'edge-1'), it.copies(b, 'edge-1'), it.copies(c, 'edge-2')], ['edge-x', 'edge-y'])).toEqual({
    orders: ['disk-1+disk-2 from edge-1 to edge-x', 'disk-3 from edge-2 to edge-x', 'disk-1+disk-2 from edge-1 to edge-y', 'disk-3 from edge-2 to edge-y'],
    notes: [],
    label: 'disk-1, disk-2, disk-3',
  })
})

test('one source is used unless stores to copy from are named, and then at most eight, each target first from another one', async () => {
  using it = openPlan(9)
  const copies = [it.copies(imageOf(1), ...it.names)]
  expect((await it.plan(copies, ['edge-x'])).orders).toEqual(['disk-1 from edge-1 to edge-x'])
  const [x, y] = (await it.plan(copies, ['edge-x', 'edge-y'], it.names)).orders
  expect(x).toBe('disk-1 from edge-1+edge-2+edge-3+edge-4+edge-5+edge-6+edge-7+edge-8 to edge-x')
  expect(y).toBe('disk-1 from edge-2+edge-3+edge-4+edge-5+edge-6+edge-7+edge-8+edge-9 to edge-y')
})

test('a target that has the only copy gets none, and is an error when nothing else is to be copied', async () => {
  using it = openPlan(1)
  const [mine, other] = [it.copies(imageOf(1), 'edge-x'), it.copies(imageOf(2), 'edge-1')]
  expect(await it.plan([mine, other], ['edge-x'])).toMatchObject({
    orders: ['disk-2 from edge-1 to edge-x'],
    notes: ['disk-1 is in edge-x only: there is nothing to copy.'],
  })
  expect(it.plan([mine], ['edge-x'])).rejects.toThrow('disk-1 is in edge-x only: there is nothing to copy.')
})

test('degraded copies come last, and one alone is used', async () => {
  using it = openPlan(2)
  const damaged = imageOf(1, { status: 'degraded' })
  const both = [...it.copies(damaged, 'edge-1'), ...it.copies(imageOf(1), 'edge-2')]
  expect((await it.plan([both], ['edge-x', 'edge-y'], ['edge-1', 'edge-2'])).orders).toEqual([
    'disk-1 from edge-2+edge-1 to edge-x',
    'disk-1 from edge-2+edge-1 to edge-y',
  ])
  expect((await it.plan([it.copies(damaged, 'edge-1', 'edge-2')], ['edge-x'])).orders).toEqual(['disk-1 from edge-1 to edge-x'])
})

test('an image of which no store can read a copy says what to do', async () => {
  for (const [members, says] of [
    [{ status: 'creating' }, 'disk-1 is Creating in edge-1: it cannot be copied now.'],
    [{ status: 'error', statusReason: 'Its digest differs.' }, 'disk-1 is Error in edge-1: Its digest differs.'],
  ] as const) {
    using it = openPlan(1)
    expect(it.plan([it.copies(imageOf(1, members), 'edge-1')], ['edge-x'])).rejects.toThrow(says)
  }
})
