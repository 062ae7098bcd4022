// How many images `all` and a recycle bin take at once: at the most, and one more.

import { expect, test } from 'bun:test'
import type { Image } from '../../../../protocol/images/image.ts'
import { imageOf, openScriptedFleet, page } from '../scripted-fleet.ts'
import type { Asked, ScriptedFleet } from '../scripted-fleet.ts'

/** A store with so many images, in pages of 500. */
function open(count: number, members: Partial<Image> = {}): ScriptedFleet {
  const images = Array.from({ length: count }, (_, i) => imageOf(i + 1, members))
  return openScriptedFleet({
    'edge-a': {
      'GET /images': ({ query }: Asked) => {
        const from = Number(query['cursor'] ?? 0)
        return page(images.slice(from, from + 500), from + 500 < count ? String(from + 500) : null)
      },
      'POST /unique-size': { uniqueSize: 1000 },
      '*': ({ request }: Asked) => ({ ...images.find(({ id }) => request.includes(id)), ...(request.startsWith('PATCH') && { protected: true }) }),
    },
  })
}

test('twenty images are changed without asking, and of twenty-one their number is asked', async () => {
  using twenty = open(20)
  expect((await twenty.run('image protect all store=edge-a')).title).toBe('Protected 20 images')
  using more = open(21)
  const asked = await more.run('image protect all store=edge-a')
  expect([asked.confirm?.name, more.asked.filter((request) => request.includes('PATCH'))]).toEqual(['21 images', []])
  expect((await more.run('image protect all store=edge-a --confirm "21 images"')).title).toBe('Protected 21 images')
})

test('all selects at most 1,000 images, and nothing is changed of more', async () => {
  using most = open(1000)
  expect((await most.run('image protect all store=edge-a')).confirm?.name).toBe('1000 images')
  using more = open(1001)
  const view = await more.run('image protect all store=edge-a')
  expect([view.outcome, view.text]).toEqual(['failed', 'More than 1000 images are selected; one command takes at most so many.'])
  expect(more.asked.filter((request) => request.includes('PATCH'))).toEqual([])
})

test('a recycle bin of more than 1,000 images is purged in several runs, and the plan says so', async () => {
  for (const [count, notes] of [
    [999, []],
    [1001, ['One command purges 1000 images. Run it again for the rest.']],
  ] as const) {
    using it = open(count, { status: 'deleted' })
    const view = await it.run('image purge --bin store=edge-a')
    expect([view.title, view.notes]).toEqual([`Purge ${Math.min(count, 1000)} images in the recycle bin of edge-a`, [...notes]])
  }
})

test('up to thirty images have their checks one by one, and of more only what blocks', async () => {
  const ids = (count: number): string => Array.from({ length: count }, (_, i) => imageOf(i + 1).id).join(' ')
  using it = open(31)
  expect((await it.run(`image delete ${ids(30)}`)).confirm?.checklist).toHaveLength(90)
  expect((await it.run(`image delete ${ids(31)}`)).confirm?.checklist.map(({ label }) => label)).toEqual(['Nothing blocks it'])
})

test('ten images are described in the question, and more are counted', async () => {
  const ids = (count: number): string => Array.from({ length: count }, (_, i) => imageOf(i + 1).id).join(' ')
  using it = open(11)
  for (const verb of ['delete', 'purge']) {
    expect((await it.run(`image ${verb} ${ids(10)}`)).confirm?.question).toMatch(/disk-10 \(\S+, 600 kB\) in edge-a would /)
    expect((await it.run(`image ${verb} ${ids(11)}`)).confirm?.question).toMatch(/disk-10 \(\S+, 600 kB\) in edge-a and 1 more would /)
  }
})
