// Copies from a source that lies: syncs, repairs and reads through an origin. A lie costs bounded memory and time and leaves nothing: no image, no file
// and no slice.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addImage, damagePack } from '../support/agents/hub-and-edge.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { seededBytes } from '../support/images/image-store.ts'
import { until } from '../support/until.ts'
import { ATTACKERS, BASE_BYTES_MAX, HONEST_BYTES_MAX, openTarget } from './attack.ts'
import type { AttackTarget } from './attack.ts'
import { BUDGETS } from './budgets.ts'
import { expectHarmless } from './expect-harmless.ts'
import { SOURCE_IMAGE_BYTES, startLyingSource } from './lying-source.ts'
import type { Asked, LyingSource, SourceLie } from './lying-source.ts'
import { WIRE_LIE_NAMES } from './wire-lies.ts'

setDefaultTimeout(120_000)

/** Lets every lie end by itself, which takes as long as docs/protocol.md says. */
const IS_FULL = process.env['SLIPWAY_HOSTILE_FULL'] === '1'
/** Time for which an attacker lets a lie go on, in milliseconds. */
const LIE_MS = 400
/** Longest time until a copy that was cancelled has ended, in milliseconds. */
const END_MS_MAX = 20_000
/**
 * Longest time of a copy in milliseconds: 8 attempts of at most 60 s with waits of up to 10 s between them, the tasks that wait before it, and what the
 * machine is busy with.
 */
const FULL_MS_MAX = 12 * 60_000
/** Syncs, and reads of images through origins, that run at the same time. */
const SYNCS_MAX = 2
const READS_MAX = 4
/** Agents that share the lies in a full run, so that they end at about the same time. */
const AGENTS = 7

const ASKED: readonly Asked[] = ['store', 'image', 'manifest', 'slices']
/** Every lie of the wire, to each kind of request in turn. */
const ON_THE_WIRE: readonly SourceLie[] = WIRE_LIE_NAMES.map((wire, i) => ({ wire, to: ASKED[(i + 1) % ASKED.length] ?? 'slices' }))
const IN_THE_CONTENT = (
  [
    'another-id',
    'manifest-endless',
    'manifest-huge',
    'manifest-longer',
    'manifest-redirect',
    'slice-bytes',
    'slice-unasked',
    'slice-bomb',
    'slice-window',
    'slices-reversed',
    'slices-slow',
    'slices-redirect',
    'slices-absent',
  ] as const
).map((content) => ({ content }))

/** Cancels what has not ended, and waits for its end. */
async function endTasks({ agent }: AttackTarget, kind: 'sync' | 'heal'): Promise<void> {
  const { items } = await agent.client.tasks.list({ kind, limit: 1000 })
  for (const { id, endedAt } of items) if (endedAt === null) await agent.client.tasks.cancel(id).catch(() => {})
  await until(
    'every task has ended',
    async () => (await agent.client.tasks.list({ kind, limit: 1000 })).items.every(({ endedAt }) => endedAt !== null),
    END_MS_MAX,
  )
}

/** Expects no image but those that are named, no file of a copy, and after gc no slice that nothing names. */
async function expectNothingLeft({ agent }: AttackTarget, namesKept: readonly string[] = []): Promise<void> {
  for await (const { id, name } of agent.client.images.all()) {
    expect(['honest', ...namesKept]).toContain(name)
    if (!namesKept.includes(name)) await agent.client.images.delete(id, { permanent: true })
  }
  const cleanup = await agent.client.store.cleanup()
  await until('gc has ended', async () => (await agent.client.tasks.get(cleanup.id)).state === 'succeeded')
  expect(await readdir(join(agent.folder, 'store', 'sync')).catch(() => [])).toEqual([])
  expect((await readdir(join(agent.folder, 'store', 'images'))).length).toBe(namesKept.length)
  expect((await agent.client.store.get()).slices.storedBytes).toBeLessThanOrEqual(namesKept.length * SOURCE_IMAGE_BYTES)
}

/** Runs passes of healing that have failed again, and returns whether there have been enough of them. */
async function hasHealed({ agent }: AttackTarget, isEnough: () => boolean): Promise<boolean> {
  await Bun.sleep(LIE_MS)
  const { items } = await agent.client.tasks.list({ kind: 'heal', state: 'failed', limit: 10 })
  if (!isEnough()) for (const { id } of items) await agent.client.tasks.retry(id).catch(() => {})
  return isEnough()
}

/** Names the lies that were not told. */
function untold({ told }: LyingSource, lies: readonly SourceLie[]): SourceLie[] {
  return lies.filter((_lie, i) => told[i] === 0)
}

describe('a sync from a source', () => {
  test.each([
    ['that breaks HTTP', ON_THE_WIRE],
    ['that lies about its images', IN_THE_CONTENT],
  ])('%s', async (_what, lies) => {
    await using source = await startLyingSource(lies)
    await using target = await openTarget()
    const { client, url } = target.agent
    const report = await expectHarmless(target, 'sync', async ({ headers, index }) => {
      for (let i = index; i < lies.length; i += ATTACKERS) {
        const toldBefore = source.told[i] ?? 0
        const response = await fetch(`${url}/v1/sync`, {
          method: 'POST',
          headers: headers('operator', { 'content-type': 'application/json' }),
          body: JSON.stringify({ source: { url: `${source.url}/${i}`, token: 'viewer' }, images: [source.images[i]] }),
        })
        expect(response.status).toBe(202)
        const { id } = (await response.json()) as { id: string }
        const hasEnded = async (): Promise<boolean> => (await client.tasks.get(id)).endedAt !== null
        await until(`the lie is told (${JSON.stringify(lies[i])})`, async () => (source.told[i] ?? 0) > toldBefore || (await hasEnded()), 60_000)
        await Bun.sleep(LIE_MS)
        await client.tasks.cancel(id).catch(() => {})
        await until('the sync has ended', hasEnded, END_MS_MAX)
        expect((await client.tasks.get(id)).state).not.toBe('succeeded')
      }
    })
    expect(untold(source, lies)).toEqual([])
    expect(report.memoryBytesMax).toBeLessThan(BASE_BYTES_MAX + HONEST_BYTES_MAX + SYNCS_MAX * BUDGETS.sync.memoryBytes)
    await endTasks(target, 'sync')
    await expectNothingLeft(target)
  })
})

describe('a repair from origins', () => {
  const PATIENT = seededBytes(SOURCE_IMAGE_BYTES, 77)
  const LIES: readonly SourceLie[] = [
    ...(['slice-bytes', 'slice-unasked', 'slice-bomb', 'slice-window', 'slices-redirect', 'slices-absent'] as const).map((content) => ({
      content,
    })),
    { wire: 'body without end', to: 'slices' },
    { wire: 'body longer than any disk', to: 'slices' },
    { wire: 'chunks of one byte', to: 'slices' },
    { wire: 'encoding that expands', to: 'slices' },
    { wire: 'head without end', to: 'slices' },
    // These two last until the time of an answer is over.
    { wire: 'interim answers without end', to: 'slices' },
    { wire: 'trailers without end', to: 'slices' },
  ]

  test('that all lie changes nothing', async () => {
    await using source = await startLyingSource(LIES, () => PATIENT)
    await using target = await openTarget(LIES.map((_lie, i) => `[[origins]]\nname = "liar-${i}"\nurl = "${source.url}/${i}"\ntoken = "viewer"\n`).join(''))
    const { agent } = target
    const id = await addImage(agent, PATIENT, 'patient')
    await damagePack(agent, [100_000, 200_000, 300_000, 400_000, 500_000])
    const report = await expectHarmless(target, 'content', async ({ url, headers, index }) => {
      // A reader that meets the damage starts a pass; further ones follow at the pauses of passes.
      const toldBefore = source.told.length - untold(source, LIES).length
      const response = await fetch(`${url}/v1/images/${id}/content`, { headers: headers('viewer') })
      await response.arrayBuffer().catch(() => {})
      // An origin that a busy machine kept from answering in time rests for up to a minute.
      if (toldBefore < LIES.length && index === 0)
        await until('every origin has lied', () => hasHealed(target, () => untold(source, LIES).length === 0), 30_000).catch(() => {})
      await Bun.sleep(LIE_MS)
    })
    expect(LIES.length - untold(source, LIES).length).toBeGreaterThanOrEqual(LIES.length / 2)
    expect(report.memoryBytesMax).toBeLessThan(BASE_BYTES_MAX + HONEST_BYTES_MAX + BUDGETS.content.memoryBytes)
    await endTasks(target, 'heal')
    expect((await agent.client.images.get(id)).status).toBe('degraded')
    expect((await agent.client.events.list({ limit: 1000 })).items.filter(({ type }) => type.endsWith('.healed'))).toEqual([])
    await expectNothingLeft(target, ['patient'])
  })
})

describe('a read through an origin', () => {
  const LIES: readonly SourceLie[] = [
    { content: 'manifest-endless' },
    { content: 'slice-bomb' },
    { content: 'slices-absent' },
    { wire: 'chunk extension without end', to: 'slices' },
    { wire: 'body longer than any disk', to: 'manifest' },
    { content: 'slice-unasked' },
    { content: 'slices-redirect' },
    { wire: 'body that trickles', to: 'slices' },
  ]

  test('that lies changes nothing', async () => {
    await using source = await startLyingSource(LIES)
    await using target = await openTarget(`[[origins]]\nname = "liar"\nurl = "${source.url}"\ntoken = "viewer"\n`)
    const { agent } = target
    const report = await expectHarmless(target, 'content', async ({ url, headers, index }) => {
      // Few images are read at the same time: the others are refused meanwhile.
      const signal = AbortSignal.timeout(2 * LIE_MS)
      await fetch(`${url}/v1/images/${source.images[index]}/content`, { headers: headers('viewer'), signal })
        .then(async (response) => {
          expect([200, 404, 409, 429, 502, 507]).toContain(response.status)
          await response.arrayBuffer()
        })
        .catch(() => {})
    })
    expect(LIES.length - untold(source, LIES).length).toBeGreaterThanOrEqual(READS_MAX)
    expect(report.memoryBytesMax).toBeLessThan(BASE_BYTES_MAX + HONEST_BYTES_MAX + READS_MAX * BUDGETS.content.memoryBytes)
    // Reads that go on without a reader end with the agent; the next one knows no origin.
    expect(await agent.stop()).toBe(0)
    await agent.restart({})
    await expectNothingLeft(target)
  })
})

if (IS_FULL) {
  test(
    'a copy from a source that lies ends by itself, within the time and with the memory that are documented',
    async () => {
      const lies = [...ON_THE_WIRE, ...IN_THE_CONTENT]
      await using source = await startLyingSource(lies)
      await using stack = new AsyncDisposableStack()
      await Promise.all(
        Array.from({ length: AGENTS }, async (_, first) => {
          const target = stack.use(await openTarget())
          const { client, pid } = target.agent
          const own = [...lies.keys()].filter((i) => i % AGENTS === first)
          const tasks = await Promise.all(
            own.map((i) => client.sync({ source: { url: `${source.url}/${i}`, token: 'viewer' }, images: [source.images[i] ?? ''] })),
          )
          for (const [at, { id }] of tasks.entries()) {
            const startMs = performance.now()
            const ended = await until(
              `the sync ends (${JSON.stringify(lies[own[at] ?? 0])})`,
              async () => {
                const task = await client.tasks.get(id)
                return task.endedAt === null ? undefined : task
              },
              FULL_MS_MAX,
            )
            console.error(JSON.stringify(lies[own[at] ?? 0]), ended.state, ended.error?.type, `${Math.round((performance.now() - startMs) / 1000)} s`)
            expect(ended.state).toBe('failed')
          }
          console.error(`memory ${Math.round(residentBytesMax(pid) / 1e6)} MB`)
          expect(residentBytesMax(pid)).toBeLessThan(BASE_BYTES_MAX + SYNCS_MAX * BUDGETS.sync.memoryBytes)
          await expectNothingLeft(target)
        }),
      )
      expect(untold(source, lies)).toEqual([])
    },
    3 * FULL_MS_MAX,
  )
}
