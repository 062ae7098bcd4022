// What plans promise: bytes, other copies, and about how long the work takes.

import { describe, expect, test } from 'bun:test'
import type { View } from '../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page, storeOf } from './scripted-fleet.ts'
import type { Script } from './scripted-fleet.ts'

const DIGEST = `sha256:${'1'.repeat(64)}`
const IMAGE = imageOf(1, { manifestDigest: DIGEST })
const holding = (...images: ReturnType<typeof imageOf>[]): Script => ({
  'GET /images': page(images),
  ...Object.fromEntries(images.map((image) => [`GET /images/${image.id}`, image])),
})
const promised = (view: View): Record<string, string> => Object.fromEntries((view.confirm?.promises ?? []).map(({ label, value }) => [label, value]))

describe('the plan of a deletion', () => {
  test('names the other copies, which also have another id or are in the same store', async () => {
    using it = openScriptedFleet({
      'edge-a': holding(IMAGE),
      'edge-b': holding(imageOf(2, { manifestDigest: DIGEST })),
      'edge-c': holding(imageOf(3, { manifestDigest: DIGEST, status: 'degraded' })),
    })
    expect(promised(await it.run('image delete disk-1 store=edge-a'))).toEqual({
      Bytes: '1 image, 600 kB long',
      Duration: 'about 1 s',
      'Other copies': 'disk-1: in edge-b',
    })
    using twins = openScriptedFleet({ 'edge-a': holding(IMAGE, imageOf(2, { manifestDigest: DIGEST })) })
    expect(promised(await twins.run('image delete disk-1'))['Other copies']).toBe('disk-1: in edge-a')
    expect(promised(await twins.run('image delete disk-1 disk-2'))['Other copies']).toBe(
      'disk-1: none, this is the only copy; disk-2: none, this is the only copy',
    )
  })

  test('says which copy is the only one, which stores did not tell, and what never had content', async () => {
    using it = openScriptedFleet({
      'edge-a': holding(IMAGE, imageOf(2, { status: 'error', manifestDigest: null, digest: null })),
      'edge-b': { 'GET /images': new Response('', { status: 500 }) },
    })
    const view = await it.run(`image delete ${IMAGE.id} disk-2 store=edge-a`)
    expect(promised(view)['Other copies']).toBe('disk-1: none, this is the only copy; disk-2: none, and it has no content')
    expect(view.notes).toEqual([expect.stringContaining('edge-b has been Stopped since')])
  })

  test('names five images and counts the rest', async () => {
    const images = [1, 2, 3, 4, 5, 6].map((number) => imageOf(number, { manifestDigest: DIGEST.replaceAll('1', String(number)) }))
    using it = openScriptedFleet({ 'edge-a': holding(...images) })
    const words = promised(await it.run(`image purge ${images.map(({ name }) => name).join(' ')}`))['Other copies']
    expect(words).toStartWith('6 only copies among 6 images; disk-1: none, this is the only copy; disk-2')
    expect(words).not.toContain('disk-6')
  })
})

describe('the plan of a move', () => {
  const sync = (members: object) => ({
    ...{ id: 'tsk_00000000000000000000000001', kind: 'sync', state: 'succeeded', subject: 'x', createdBy: 'admin' },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:10.000Z' },
    progress: { done: 1, total: 1, unit: 'bytes', rate: 0, etaSeconds: null },
    result: { images: [], slicesMoved: 1, slicesPresent: 0, bytesMoved: 100_000 },
    ...members,
  })
  test.each<[string, unknown, string]>([
    ['the rate of the last copy', page([sync({})]), 'at most about 20 s, at the 10 kB/s of its last copy'],
    ['no copy yet', page([]), 'not known: edge-b remembers no copy that tells its rate'],
    ['a copy that failed', page([sync({ state: 'failed' })]), 'not known: edge-b remembers no copy that tells its rate'],
    ['a copy in no time', page([sync({ endedAt: '2026-01-01T00:00:00.000Z' })]), 'not known: edge-b remembers no copy that tells its rate'],
    [
      'a copy that moved nothing',
      page([sync({ result: { images: [], slicesMoved: 0, slicesPresent: 1, bytesMoved: 0 } })]),
      'not known: edge-b remembers no copy that tells its rate',
    ],
    ['another task', page([sync({ kind: 'cleanup' })]), 'not known: edge-b remembers no copy that tells its rate'],
  ])('estimates its duration by %s', async (_what, tasks, words) => {
    using it = openScriptedFleet({ 'edge-a': holding(IMAGE), 'edge-b': { 'GET /images': page([]), 'GET /tasks': tasks } })
    expect(promised(await it.run('image migrate disk-1 to=edge-b'))).toEqual({
      Bytes: 'at most 200 kB to copy: slices that edge-b has are not sent',
      'Already there': 'not known: edge-b did not say what it has',
      Space: '599 GB available in edge-b',
      Duration: words,
    })
  })

  test('that is estimated differently when the name was typed is the same plan', async () => {
    let tasks = page([])
    using it = openScriptedFleet({ 'edge-a': holding(IMAGE), 'edge-b': { 'GET /images': page([]), 'GET /tasks': () => tasks } })
    const first = await it.run('image migrate disk-1 to=edge-b')
    tasks = page([sync({})])
    const again = await it.run('image migrate disk-1 to=edge-b')
    expect(promised(again)).not.toEqual(promised(first))
    expect(again.confirm?.command).toBe(first.confirm?.command ?? '')
  })
})

test('the plan of removing a store says what it holds', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /store': storeOf(), 'GET /tasks': page([]), ...holding(IMAGE) }, 'edge-b': holding() })
  expect(promised(await it.run('store delete edge-a'))).toEqual({ 'Held by edge-a': '1 image, 600 kB long; they stay on its disk', Duration: 'about 1 s' })
})
