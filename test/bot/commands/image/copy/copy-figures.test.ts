// What a copy would do before it is made: the bytes that a target lacks, what is said when it does not tell, and that nothing is left behind.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { copyFigures, copyPromises, mayNotFit } from '../../../../../bot/commands/image/copy/copy-figures.ts'
import type { CopyFigures } from '../../../../../bot/commands/image/copy/copy-figures.ts'
import { imageOf, openScriptedFleet, refuse } from '../../scripted-fleet.ts'
import type { Script } from '../../scripted-fleet.ts'
import { taskOf } from '../../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const IMAGES = [imageOf(1, { storedSize: 200_000 }), imageOf(2, { storedSize: null })]
const GRANT = { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' }
const dryRun = (state: string, images: readonly object[] | undefined): unknown =>
  taskOf('x', 'sync', state, {
    ...{ id: 'tsk_1', endedAt: state === 'running' ? null : '2026-01-01T00:00:01.000Z' },
    ...(images && { result: { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0, images: images.map((one, n) => ({ id: IMAGES[n]?.id, name: 'x', ...one })) } }),
  })

/** Asks edge-x what copies from edge-a would do. */
function open(script: Script, targets: readonly string[] = ['edge-x']) {
  const fleet = openScriptedFleet({
    'edge-a': { 'POST /sync/grants': GRANT, 'DELETE /tokens/tok_1': () => new Response(null, { status: 204 }) },
    'edge-x': script,
    'edge-y': script,
  })
  const context = fleet.bot.context({ name: 'ann', role: 'admin' }, 'console')
  const storeNamed = (name: string) => {
    const store = fleet.bot.fleet.registry.find(name)
    if (!store) throw new Error(`there is no ${name}`)
    return store
  }
  const ask = () =>
    copyFigures(
      context,
      targets.map((name) => ({ source: storeNamed('edge-a'), others: [], target: storeNamed(name), images: IMAGES })),
    )
  return { ...fleet, context, storeNamed, ask, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

test('bytes that would be sent, what is there, and the space', async () => {
  using it = open({
    'POST /sync': dryRun('succeeded', [
      { outcome: 'would-copy', bytesMoved: 100, bytesPresent: 20, bytesZero: 3 },
      { outcome: 'already-there', bytesMoved: 7, bytesPresent: 400 },
    ]),
  })
  const [figures] = await it.ask()
  expect(figures).toMatchObject({ missingBytes: 100, presentBytes: 423, availableBytes: 5.99e11, length: 1_200_000, storedBytes: 800_000 })
  // The grant for the question is taken back, and nothing is copied.
  expect(it.asked).toContain('edge-a DELETE /tokens/tok_1')
  expect(it.sent.filter((request) => request.includes('POST /sync {') && !request.includes('"dryRun":true'))).toEqual([])
})

test('a figure for each target', async () => {
  using it = open({ 'POST /sync': dryRun('succeeded', [{ outcome: 'would-repair', bytesMoved: 100 }]) }, ['edge-x', 'edge-y', 'edge-x'])
  expect((await it.ask()).map(({ target, missingBytes, length }) => [target.name, missingBytes, length])).toEqual([
    ['edge-x', 200, 2_400_000],
    ['edge-y', 100, 1_200_000],
  ])
})

test.each([
  ['refuses', { 'POST /sync': refuse('conflict', 'Not now.') }],
  ['fails', { 'POST /sync': dryRun('failed', [{ outcome: 'failed' }]) }],
  ['answers without a result', { 'POST /sync': dryRun('succeeded', undefined) }],
])('a target that %s leaves the bytes unknown', async (_what, script) => {
  using it = open(script)
  expect((await it.ask())[0]).toMatchObject({ missingBytes: null, presentBytes: null, availableBytes: 5.99e11, storedBytes: 800_000 })
  expect(it.asked).toContain('edge-a DELETE /tokens/tok_1')
})

test('a target that does not describe itself leaves the space unknown', async () => {
  using it = open({ 'POST /sync': dryRun('succeeded', []), 'GET /store': refuse('shutting-down', 'Not now.') })
  expect((await it.ask())[0]).toMatchObject({ missingBytes: 0, availableBytes: null })
})

test('a target that takes longer is waited for', async () => {
  const states = ['running', 'succeeded']
  using it = open({
    'POST /sync': dryRun('running', undefined),
    'GET /tasks/tsk_1': () => dryRun(states.shift() ?? 'succeeded', [{ outcome: 'would-copy', bytesMoved: 100 }]),
  })
  const answer = it.ask()
  for (const waits of [2, 2]) {
    await it.clock.untilSleeping(waits)
    it.clock.advance(4_000)
  }
  expect((await answer)[0]?.missingBytes).toBe(100)
  expect(it.asked).not.toContain('edge-x DELETE /tasks/tsk_1')
})

test('one that does not answer in fifteen seconds is not waited for, and its task is cancelled', async () => {
  using it = open({ 'POST /sync': dryRun('running', undefined), 'GET /tasks/tsk_1': dryRun('running', undefined), '*': dryRun('cancelled', undefined) })
  let isOver = false
  const answer = it.ask().finally(() => (isOver = true))
  for (let ms = 0; ms < 14_999; ms += 100) {
    await it.clock.untilSleeping(2)
    it.clock.advance(Math.min(100, 14_999 - ms))
  }
  await it.clock.untilSleeping(2)
  expect([isOver, it.asked.filter((request) => /cancel|DELETE/.test(request))]).toEqual([false, []])
  it.clock.advance(1)
  expect((await answer)[0]).toMatchObject({ missingBytes: null, presentBytes: null })
  expect(it.asked.filter((request) => request.startsWith('edge-x') && /cancel|DELETE/.test(request))).toHaveLength(1)
  expect(it.asked).toContain('edge-a DELETE /tokens/tok_1')
})

test('the promises name the store where there are several, and say what is not known', async () => {
  using it = open({})
  const figures = (members: Partial<CopyFigures> = {}): CopyFigures => ({
    ...{ target: it.storeNamed('edge-x'), missingBytes: 100_000, presentBytes: 500_000, availableBytes: 5e9, length: 600_000, storedBytes: 200_000 },
    ...members,
  })
  const words = async (all: readonly CopyFigures[]): Promise<string[]> =>
    (await copyPromises(it.context, all)).map(({ label, value, isEstimate }) => `${label}: ${value}${isEstimate ? ' (estimate)' : ''}`)
  expect((await words([figures()])).slice(0, 3)).toEqual([
    'Bytes: at most 100 kB to copy: slices that edge-x has are not sent',
    'Already there: 500 kB of 600 kB, with zeros',
    'Space: 5.0 GB available in edge-x (estimate)',
  ])
  const [bytes, there, space] = await words([figures({ missingBytes: null, presentBytes: null, availableBytes: null }), figures()])
  expect([bytes, there, space]).toEqual([
    'Bytes, edge-x: at most 200 kB to copy: slices that edge-x has are not sent',
    'Already there, edge-x: not known: edge-x did not say what it has',
    'Space, edge-x: not known (estimate)',
  ])
})

test.each([
  [100, 100, false],
  [101, 100, true],
  [null, 100, false],
  [101, null, false],
])('%p bytes in a space of %p may not fit: %p', (missingBytes, availableBytes, mayNot) => {
  using it = open({})
  expect(mayNotFit({ target: it.storeNamed('edge-x'), missingBytes, presentBytes: 0, availableBytes, length: 0, storedBytes: 0 })).toBe(mayNot)
})
