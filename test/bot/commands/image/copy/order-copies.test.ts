// `image sync`: which stores an image is copied from when several have it.

import { expect, setDefaultTimeout, test } from 'bun:test'
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
