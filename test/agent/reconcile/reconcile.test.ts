// The task of a comparison: what it reports, which actions it runs, and what it says of those that it could not run.

import { describe, expect, test } from 'bun:test'
import { readdir, utimes } from 'node:fs/promises'
import { createReconcile } from '../../../agent/reconcile/reconcile.ts'
import type { ReconcileDeps } from '../../../agent/reconcile/reconcile.ts'
import type { TaskOrder, TaskRunner } from '../../../agent/contract/work.ts'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ReconcileResult } from '../../../protocol/reconcile.ts'
import type { Task } from '../../../protocol/task.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const NOW = Date.parse('2026-11-21T00:00:00Z')
const OLD = new Date(NOW - 24 * 3_600_000)
const IMAGE = `img_${'1'.repeat(26)}`

/** A store with unknown files `stray-N` and an image that never had content; `run` runs the task. */
async function open({ strays = 1, deletion = async (): Promise<Image | undefined> => undefined } = {}) {
  const folder = await createTemporaryFolder()
  for (let i = 0; i < strays; i++) {
    const path = folder.file(`stray-${String(i).padStart(3, '0')}`)
    await Bun.write(path, 'bytes')
    await utimes(path, OLD, OLD)
  }
  const image = { ...blankImage({ id: IMAGE, name: 'debian', status: 'error' }, NOW), manifestDigest: null }
  const capture = { ...blankImage({ id: `img_${'2'.repeat(26)}`, name: 'capture', status: 'pending', kind: 'capture', sourceInstance: 'vm-1' }, NOW) }
  let runner: TaskRunner | undefined
  const orders: TaskOrder[] = []
  const events: unknown[] = []
  const points: string[] = []
  const progress: unknown[] = []
  const deps: ReconcileDeps = {
    disk: createDisk(),
    clock: { ...systemClock, nowMs: () => NOW },
    mount: folder.path,
    isKnownTop: () => false,
    hasImage: () => true,
    hasUpload: () => true,
    uploads: { unreadable: () => [], moveUnreadable: async () => false, expire: async () => [] },
    exports: { list: () => [], delete: async () => {} },
    images: { each: () => [image, capture], isWhole: async () => true, delete: deletion } as unknown as ReconcileDeps['images'],
    missing: () => [],
    lostPacks: async () => ({ has: () => false }),
    tasks: {
      register: (_kind, one) => void (runner = one),
      start: async (order) => {
        orders.push(order)
        return { id: 'tsk_1' } as Task
      },
    },
    emit: (event) => void events.push(event),
    crashPoint: (name) => void points.push(name),
    subject: 'edge-a',
  }
  const reconcile = createReconcile(deps)
  const controller = new AbortController()
  return {
    folder,
    reconcile,
    orders,
    events,
    points,
    progress,
    controller,
    async run(params: object): Promise<ReconcileResult> {
      const context = {
        taskId: 'tsk_1',
        signal: controller.signal,
        isRerun: false,
        resultSoFar: () => {},
        progress: (...all: unknown[]) => void progress.push(all),
      }
      return (await runner?.({ apply: [], actor: 'ann', ...params }, context)) as ReconcileResult
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

describe('a comparison', () => {
  test('without an order to act changes nothing, and lists and counts what it finds', async () => {
    await using store = await open()
    const result = await store.run({})
    expect(result.findings.map(({ kind, target }) => [kind, target])).toEqual([
      ['unknownFile', 'stray-000'],
      ['imageWithoutBytes', IMAGE],
    ])
    expect(result).toMatchObject({ counts: { unknownFile: 1, imageWithoutBytes: 1 }, applied: [], absent: [] })
    expect(await readdir(store.folder.path)).toEqual(['stray-000'])
    expect([store.events, store.points]).toEqual([[], []])
    expect(store.progress).toEqual([
      [0, 2, 'images'],
      [1, 2, 'images'],
      [2, 2, 'images'],
    ])
  })

  test('looks at captures only with the list of instances', async () => {
    await using store = await open({ strays: 0 })
    const kinds = async (params: object): Promise<string[]> => (await store.run(params)).findings.map(({ kind }) => kind)
    expect(await kinds({})).toEqual(['imageWithoutBytes'])
    expect(await kinds({ instances: [] })).toEqual(['imageWithoutBytes', 'captureWithoutInstance'])
    expect(await kinds({ instances: ['vm-1'] })).toEqual(['imageWithoutBytes'])
  })

  test('lists 500 findings and counts the others', async () => {
    await using store = await open({ strays: 501 })
    const { findings, counts } = await store.run({})
    expect([findings.length, counts.unknownFile, counts.imageWithoutBytes]).toEqual([500, 501, 1])
  })
})

describe('an action', () => {
  test('runs for the findings that were named, and for no others', async () => {
    await using store = await open({ strays: 3 })
    const { findings } = await store.run({})
    const chosen = findings[1]
    if (!chosen) throw new Error('there is no second finding')
    const result = await store.run({ apply: [chosen.id] })
    const moved = `${chosen.id}.stray-001`
    expect(result).toMatchObject({
      counts: { unknownFile: 2, imageWithoutBytes: 1 },
      applied: [
        { id: chosen.id, kind: 'unknownFile', target: 'stray-001', action: 'quarantine', outcome: 'done', detail: `It was moved to quarantine/${moved}.` },
      ],
      absent: [],
    })
    expect(result.findings.map(({ target }) => target)).toEqual(['stray-000', 'stray-002', IMAGE])
    expect(await readdir(store.folder.file('quarantine'))).toEqual([moved])
    expect(store.points).toEqual(['reconcile:applied'])
    expect(store.events).toEqual([
      {
        type: 'store.reconciled',
        severity: 'info',
        subject: 'edge-a',
        message: `The file stray-001 does not belong to the store. It was moved to quarantine/${moved}.`,
        actor: 'ann',
        details: { kind: 'unknownFile', target: 'stray-001', action: 'quarantine' },
      },
    ])
  })

  test('for a finding that is there no more is named as absent, so that a repeated task does nothing twice', async () => {
    await using store = await open()
    const [stray] = (await store.run({})).findings
    const apply = [stray?.id ?? '', 'fnd_0000000000000000']
    expect((await store.run({ apply })).absent).toEqual(['fnd_0000000000000000'])
    // What was moved is unknown below quarantine/, which belongs to operators and is known at the top in a real store.
    expect((await store.run({ apply })).absent).toEqual(apply)
  })

  test('that is refused is reported, and the task goes on', async () => {
    await using store = await open({ deletion: () => Promise.reject(problem('image-protected', 'Image debian is protected.')) })
    const { findings } = await store.run({})
    const result = await store.run({ apply: findings.map(({ id }) => id) })
    expect(result.applied.map(({ kind, outcome, detail }) => [kind, outcome, detail])).toEqual([
      ['unknownFile', 'done', expect.stringContaining('It was moved')],
      ['imageWithoutBytes', 'refused', 'Image debian is protected.'],
    ])
    expect(store.events).toHaveLength(1)
  })

  test('ends the task when a disk fails', async () => {
    const broken = Object.assign(new Error('EIO'), { code: 'EIO' })
    await using store = await open({ strays: 0, deletion: () => Promise.reject(broken) })
    const [image] = (await store.run({})).findings
    expect(await store.run({ apply: [image?.id] }).catch((error: unknown) => error)).toBe(broken)
  })

  test('does not run after the task was cancelled', async () => {
    await using store = await open()
    const [stray] = (await store.run({})).findings
    store.controller.abort(new Error('cancelled'))
    expect(String(await store.run({ apply: [stray?.id] }).catch((error: unknown) => error))).toBe('Error: cancelled')
    expect(await readdir(store.folder.path)).toEqual(['stray-000'])
  })
})

describe('an order', () => {
  test('is the same task whatever the order of its ids and however often one is named', async () => {
    await using store = await open({ strays: 0 })
    await store.reconcile.start({ apply: ['fnd_2', 'fnd_1', 'fnd_2'], instances: ['b', 'a', 'b'] }, 'ann')
    await store.reconcile.start({ apply: ['fnd_1', 'fnd_2'], instances: ['a', 'b'] }, 'ben')
    await store.reconcile.start({ apply: ['fnd_1', 'fnd_2'] }, 'ann')
    const [first, same, other] = store.orders
    expect(first).toEqual({
      kind: 'reconcile',
      subject: 'edge-a',
      createdBy: 'ann',
      params: { apply: ['fnd_1', 'fnd_2'], instances: ['a', 'b'], actor: 'ann' },
      key: expect.stringMatching(/^reconcile [0-9a-f]+$/),
    })
    expect(same?.key).toBe(first?.key)
    expect(other?.params).toEqual({ apply: ['fnd_1', 'fnd_2'], actor: 'ann' })
    expect(other?.key).not.toBe(first?.key)
  })
})
