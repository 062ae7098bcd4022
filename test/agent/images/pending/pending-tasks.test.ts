// Inspections and digests as tasks: while they wait, while they run, and after their end.

import { describe, expect, test } from 'bun:test'
import { createPendingTasks } from '../../../../agent/images/pending/pending-tasks.ts'
import type { PendingWork } from '../../../../agent/images/pending/pending-works.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Task } from '../../../../protocol/task.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const NOW = Date.UTC(2026, 0, 1, 0, 0, 10)
const ID = `img_${'0'.repeat(25)}5`
const INSPECTION = `tsk_${'0'.repeat(25)}6`
const DIGEST = `tsk_${'0'.repeat(25)}7`
const SHA256 = `sha256:${'a'.repeat(64)}`

const image = (changes: Partial<Image> = {}): Image =>
  memoryImage({
    id: ID,
    name: 'debian',
    length: 1000,
    format: 'qcow2',
    status: 'available',
    createdAt: '2026-01-01T00:00:00.000Z',
    availableAt: '2026-01-01T00:00:05.000Z',
    manifestDigest: SHA256,
    digest: SHA256,
    statusReason: null,
    ...changes,
  })

const work = (changes: Partial<PendingWork> = {}): PendingWork => ({
  imageId: ID,
  kind: 'inspect',
  queuedAtMs: NOW - 4000,
  startedAtMs: null,
  done: 0,
  unpackedBytes: null,
  failure: null,
  ...changes,
})

function tasksOf(works: readonly PendingWork[], images: readonly Image[]) {
  const find = (id: string): Image | undefined => images.find((one) => one.id === id)
  return createPendingTasks({ works: { list: () => works, of: (id) => works.find(({ imageId }) => imageId === id) }, find, nowMs: () => NOW })
}

/** The task of a piece of work. */
const taskOf = (changes: Partial<PendingWork>): Task | undefined => [...tasksOf([work(changes)], [image({ status: 'creating' })]).list()][0]

describe('work in progress', () => {
  test('that waits is queued, with the reason', () => {
    expect(taskOf({})).toEqual({
      id: INSPECTION,
      kind: 'inspect',
      state: 'queued',
      progress: { done: 0, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null },
      subject: ID,
      createdBy: 'agent',
      createdAt: '2026-01-01T00:00:06.000Z',
      endedAt: null,
      detail: 'It waits for its inspection since 2026-01-01T00:00:06.000Z, because others run. It starts by itself.',
    })
  })

  test('that runs has a rate since its start, and the time that is left', () => {
    expect(taskOf({ kind: 'digest', startedAtMs: NOW - 2000, done: 400 })).toMatchObject({
      id: DIGEST,
      kind: 'digest',
      state: 'running',
      progress: { done: 400, total: 1000, unit: 'bytes', rate: 200, etaSeconds: 3 },
    })
  })

  test('that has just begun has no rate yet', () => {
    expect(taskOf({ startedAtMs: NOW, done: 400 })?.progress).toEqual({ done: 400, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null })
  })

  test('never shows more than the whole, nor a time below zero', () => {
    expect(taskOf({ startedAtMs: NOW - 1000, done: 5000 })?.progress).toEqual({ done: 1000, total: 1000, unit: 'bytes', rate: 5000, etaSeconds: 0 })
  })

  test('on an image that is gone is not listed', () => {
    expect([...tasksOf([work()], []).list()]).toEqual([])
  })

  test('is found by its id, and the other work of the image by what the image shows', () => {
    const tasks = tasksOf([work({ kind: 'digest', startedAtMs: NOW - 1000 })], [image({ digest: null })])
    expect(tasks.find(DIGEST)).toMatchObject({ kind: 'digest', state: 'running' })
    expect(tasks.find(INSPECTION)).toMatchObject({ kind: 'inspect', state: 'succeeded' })
    expect(tasks.find(`tsk_${'0'.repeat(25)}8`)).toBeUndefined()
  })
})

describe('work that has ended', () => {
  const ended = (id: string, changes: Partial<Image> = {}): Task | undefined => tasksOf([], [image(changes)]).find(id)

  test('succeeded with what it found', () => {
    expect(ended(INSPECTION)).toEqual({
      id: INSPECTION,
      kind: 'inspect',
      state: 'succeeded',
      progress: { done: 1000, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null },
      subject: ID,
      createdBy: 'agent',
      createdAt: '2026-01-01T00:00:00.000Z',
      endedAt: '2026-01-01T00:00:05.000Z',
      result: { status: 'available', format: 'qcow2' },
    })
    expect(ended(DIGEST)).toMatchObject({ kind: 'digest', state: 'succeeded', result: { digest: SHA256 } })
  })

  test('failed with its reason where the image was refused', () => {
    const refused = { status: 'error', statusReason: 'It is no qcow2.', availableAt: null } as const
    expect(ended(INSPECTION, refused)).toMatchObject({
      state: 'failed',
      detail: 'It is no qcow2.',
      endedAt: '2026-01-01T00:00:00.000Z',
      result: { status: 'error' },
    })
    // The digest of a refused image was computed all the same.
    expect(ended(DIGEST, refused)).toMatchObject({ state: 'succeeded' })
    expect(ended(DIGEST, refused)).not.toHaveProperty('detail')
    expect(ended(INSPECTION, { ...refused, statusReason: null })).not.toHaveProperty('detail')
  })

  test('is unknown where the image does not show that it ended', () => {
    expect(ended(INSPECTION, { status: 'creating' })).toBeUndefined()
    expect(ended(DIGEST, { digest: null })).toBeUndefined()
    expect(ended(INSPECTION, { manifestDigest: null })).toBeUndefined()
    expect(ended(INSPECTION, { id: `img_${'0'.repeat(26)}` })).toBeUndefined()
  })
})

test.each([
  ['inspect', 'An inspection cannot be cancelled.'],
  ['digest', 'The digest of an image is always computed.'],
] as const)('work of kind %s cannot be cancelled, and what can be done is said', async (kind, detail) => {
  const task = { kind, subject: ID } as Task
  const error = await tasksOf([], [])
    .cancel(task, { name: 'ann', role: 'operator' })
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'wrong-status', problem: { detail, action: `Delete image ${ID} instead, once its inspection has ended.` } })
})
