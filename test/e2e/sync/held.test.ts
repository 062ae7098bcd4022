// Syncs that are held: an operator pauses them, their hours end, or others come first. A proxy between two agents counts what moves meanwhile, and
// what moves twice.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { addImage, contentOf, startHubAndEdge, untilEnded } from '../../support/agents/hub-and-edge.ts'
import type { HubAndEdge } from '../../support/agents/hub-and-edge.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { until } from '../../support/until.ts'
import type { SyncLimits } from '../../../protocol/sync/sync-limits.ts'

setDefaultTimeout(120_000)

const MIB = 1024 * 1024
const LENGTH = 6 * MIB
/** Bytes per second of the edge: a target asks for what it may read in two seconds. */
const RATE = MIB
/** Bytes that may be in flight when a sync stops: two seconds of the rate, and a slice for each of two batches. */
const IN_FLIGHT_MAX = 2 * RATE + 2 * 128 * 1024
/** Heads, lists of digests and the manifest of a run. */
const HEADERS_MAX = 128 * 1024
/** What passes before a sync is held. */
const MOVED_MIN = MIB

const CONFIG = '[transfer]\ndownload-concurrency = 2\n[sync]\nbytes-per-second = "1 MiB"\n'

/** Orders a sync of one image over the line. */
async function order({ edge, line, token }: HubAndEdge, image: string, limits: SyncLimits = {}): Promise<string> {
  return (await edge.client.sync({ source: { url: line.url, token }, images: [image], limits })).id
}

function untilMoved({ line }: HubAndEdge, bytes: number): Promise<boolean> {
  return until('bytes flow', () => line.bytes.down >= bytes)
}

/** Waits until a task does not run, and returns the bytes that have passed by then. Its requests have ended. */
async function untilHeld({ edge, line }: HubAndEdge, id: string): Promise<number> {
  await until('it does not run', async () => (await edge.client.tasks.get(id)).state === 'queued')
  return line.bytes.down
}

/** Expects the copy at the end, and that only what was in flight has moved twice. */
async function expectCopied(pair: HubAndEdge, task: string, image: string, bytes: Uint8Array): Promise<void> {
  const { edge, line } = pair
  expect(await untilEnded(edge, task)).toMatchObject({ state: 'succeeded', result: { images: [{ id: image, outcome: 'copied' }] } })
  await until('the copy is available', async () => (await edge.client.images.get(image)).status === 'available')
  const content = await contentOf(edge, image)
  expect(Buffer.isBuffer(content) && content.equals(bytes)).toBe(true)
  expect(line.bytes.down).toBeGreaterThan(bytes.byteLength)
  expect(line.bytes.down - bytes.byteLength).toBeLessThan(IN_FLIGHT_MAX + HEADERS_MAX)
}

test('a sync that is paused while bytes flow receives no more than what is in flight, stays paused through SIGKILL, and moves nothing twice', async () => {
  await using pair = await startHubAndEdge({ config: CONFIG })
  const { hub, edge, line } = pair
  const bytes = seededBytes(LENGTH, 21)
  const image = await addImage(hub, bytes)
  const task = await order(pair, image)
  await untilMoved(pair, MOVED_MIN)
  const paused = await edge.client.tasks.pause(task)
  const atPause = line.bytes.down
  expect(paused.pausedAt).toBeDefined()
  const held = await untilHeld(pair, task)
  expect(held - atPause).toBeLessThan(IN_FLIGHT_MAX)
  expect(held).toBeLessThan(LENGTH)

  await edge.restart()
  expect(await edge.client.tasks.get(task)).toMatchObject({ state: 'queued', pausedAt: paused.pausedAt })
  // Another sync runs, so the queue of the new process is at work. It goes past the proxy.
  const other = await addImage(hub, seededBytes(100_000, 22), 'other')
  const past = await edge.client.sync({ source: { url: hub.url, token: pair.token }, images: [other] })
  expect(await untilEnded(edge, past.id)).toMatchObject({ state: 'succeeded' })
  // The edge asks its origin whether it answers.
  expect(line.bytes.down - held).toBeLessThan(HEADERS_MAX)
  expect(await edge.client.tasks.get(task)).toMatchObject({ state: 'queued', pausedAt: paused.pausedAt })

  const resumed = await edge.client.tasks.resume(task)
  expect(resumed.pausedAt).toBeUndefined()
  await untilMoved(pair, held + MIB / 2)
  // The rest need not be slow.
  await edge.client.store.patch({ sync: { bytesPerSecond: 0 } })
  await expectCopied(pair, task, image, bytes)
  const { items } = await edge.client.events.list({ limit: 100 })
  expect(items.filter(({ subject, type }) => subject === task && /paused|resumed/.test(type)).map(({ type }) => type)).toEqual(['task.resumed', 'task.paused'])
})

test('a sync stops when the hours of the store end, and continues when they begin, and moves nothing twice', async () => {
  await using pair = await startHubAndEdge({ config: CONFIG })
  const { hub, edge } = pair
  const bytes = seededBytes(LENGTH, 23)
  const image = await addImage(hub, bytes)
  // Its own window is open all the time: each minute, one that lasts for five.
  const task = await order(pair, image, { hours: [{ cron: '* * * * *', minutes: 5 }] })
  await untilMoved(pair, MOVED_MIN)
  // Half a day from now.
  const hour = (new Date().getUTCHours() + 12) % 24
  await edge.client.store.patch({ sync: { hours: [{ cron: `30 ${hour} * * *`, minutes: 1 }] } })
  const held = await untilHeld(pair, task)
  expect(held).toBeLessThan(LENGTH)
  const waiting = await edge.client.tasks.get(task)
  expect(waiting.continuesAt?.slice(11)).toBe(`${String(hour).padStart(2, '0')}:30:00.000Z`)
  expect(waiting.detail).toStartWith('Outside the hours of the sync.')

  await edge.restart()
  await until('it waits for its hours again', async () => (await edge.client.tasks.get(task)).continuesAt === waiting.continuesAt)
  expect(pair.line.bytes.down - held).toBeLessThan(HEADERS_MAX)
  await edge.client.store.patch({ sync: { hours: [], bytesPerSecond: 0 } })
  await expectCopied(pair, task, image, bytes)
})

test('of syncs that run, one with a high priority gets more of the rate, and of those that wait it comes first', async () => {
  await using pair = await startHubAndEdge({ config: CONFIG })
  const { hub, edge } = pair
  const images: string[] = []
  for (const i of [0, 1, 2, 3]) images.push(await addImage(hub, seededBytes(2.5 * MIB, 30 + i), `image-${i}`))
  const [low = '', high = '', waitingLow = '', waitingHigh = ''] = images
  const slow = await order(pair, low, { priority: 'low' })
  const fast = await order(pair, high, { priority: 'high' })
  const last = await order(pair, waitingLow, { priority: 'low' })
  const next = await order(pair, waitingHigh, { priority: 'high' })
  const state = async (id: string): Promise<string> => (await edge.client.tasks.get(id)).state
  const done = async (id: string): Promise<number> => (await edge.client.tasks.get(id)).progress.done
  await until('both run', async () => (await state(slow)) === 'running' && (await done(fast)) > 0)
  expect([await state(last), await state(next)]).toEqual(['queued', 'queued'])
  const doneBefore = await done(slow)
  expect(await untilEnded(edge, fast)).toMatchObject({ state: 'succeeded' })
  // A part of one against four, if nothing else is slower than the rate. With equal parts it would have been the whole image.
  expect((await done(slow)) - doneBefore).toBeLessThan(2 * MIB)
  await until('the next one runs', async () => (await state(next)) === 'running')
  expect(await state(last)).toBe('queued')
})
