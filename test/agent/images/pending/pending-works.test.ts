// Pending work on images: what is noted about it until it ends, and the tasks that show it.

import { describe, expect, test } from 'bun:test'
import { createPendingTasks } from '../../../../agent/images/pending/pending-tasks.ts'
import { createPendingWorks } from '../../../../agent/images/pending/pending-works.ts'
import type { PendingKind } from '../../../../agent/images/pending/pending-works.ts'
import { blankImage } from '../../../../agent/images/records/image-file.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const ID = 'img_01kxxxxxxxxxxxxxxxxxxxxxxx'
/** The last character of the id tells the tasks of an image apart. */
const TASKS: Readonly<Record<PendingKind, string>> = { inspect: 'tsk_01kxxxxxxxxxxxxxxxxxxxxxxy', digest: 'tsk_01kxxxxxxxxxxxxxxxxxxxxxxz' }

describe('pending work', () => {
  test('is queued once, starts, and ends', () => {
    const clock = createManualClock()
    const works = createPendingWorks(clock)
    works.queue(ID, 'inspect')
    clock.advance(1000)
    works.queue(ID, 'inspect')
    expect(works.of(ID)).toEqual({ imageId: ID, kind: 'inspect', queuedAtMs: START, startedAtMs: null, done: 0, unpackedBytes: null, failure: null })
    const started = works.start(ID, 'inspect')
    works.hashed(ID, 5)
    works.hashed(ID, 7)
    works.unpacked(ID, 100)
    expect(works.of(ID)).toMatchObject({ queuedAtMs: START, startedAtMs: START + 1000, done: 12, unpackedBytes: 100 })
    works.failed(ID, 'EIO', 2)
    expect(works.of(ID)).toMatchObject({ done: 0, unpackedBytes: null, failure: { reason: 'EIO', atMs: START + 1000, attempt: 2 } })
    started[Symbol.dispose]()
    expect([works.of(ID), [...works.list()]]).toEqual([undefined, []])
    // Nothing is noted about work that does not exist.
    works.hashed(ID, 5)
    works.failed(ID, 'EIO', 1)
    expect(works.of(ID)).toBeUndefined()
  })

  test('of another kind replaces the earlier one, whose end does not end it', () => {
    const clock = createManualClock()
    const works = createPendingWorks(clock)
    works.queue('other', 'digest')
    const inspection = works.start(ID, 'inspect')
    clock.advance(10)
    works.queue(ID, 'digest')
    inspection[Symbol.dispose]()
    expect(works.of(ID)).toMatchObject({ kind: 'digest', queuedAtMs: START + 10, startedAtMs: null })
    const digest = works.start(ID, 'digest')
    clock.advance(10)
    works.queue(ID, 'inspect')
    works.queue(ID, 'digest')
    digest[Symbol.dispose]()
    // The same kind, but queued later.
    expect(works.of(ID)).toMatchObject({ kind: 'digest', queuedAtMs: START + 20 })
    expect([...works.list()].map(({ imageId }) => imageId)).toEqual(['other', ID])
  })
})

describe('a task of pending work', () => {
  const image: Image = { ...blankImage({ id: ID, name: 'one', status: 'creating', length: 1000 }, START), manifestDigest: 'sha256:1' }

  function scene(shown: Image) {
    const clock = createManualClock()
    const works = createPendingWorks(clock)
    const tasks = createPendingTasks({ works, find: (id) => (id === ID ? shown : undefined), nowMs: clock.nowMs })
    return { clock, works, tasks }
  }

  test('shows how far it is, how fast, and when it ends', () => {
    const { clock, works, tasks } = scene(image)
    works.queue('img_gone', 'digest')
    works.queue(ID, 'digest')
    const [waiting] = [...tasks.list()]
    expect(waiting).toMatchObject({ id: TASKS.digest, kind: 'digest', state: 'queued', subject: ID, createdBy: 'agent', endedAt: null })
    expect(waiting?.progress).toEqual({ done: 0, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null })
    clock.advance(500)
    works.start(ID, 'digest')
    works.hashed(ID, 400)
    expect([...tasks.list()][0]?.progress).toEqual({ done: 400, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null })
    clock.advance(2000)
    expect(tasks.find(TASKS.digest)).toMatchObject({ state: 'running', progress: { done: 400, total: 1000, rate: 200, etaSeconds: 3 } })
    works.hashed(ID, 700)
    expect(tasks.find(TASKS.digest)?.progress).toEqual({ done: 1000, total: 1000, unit: 'bytes', rate: 550, etaSeconds: 0 })
    expect(tasks.find(TASKS.inspect)).toBeUndefined()
  })

  test('that has ended is made of what the image shows', () => {
    const available: Image = { ...image, status: 'available', availableAt: '2026-01-01T00:01:00.000Z', format: 'raw', digest: null }
    expect(scene(available).tasks.find(TASKS.inspect)).toEqual({
      id: TASKS.inspect,
      kind: 'inspect',
      state: 'succeeded',
      progress: { done: 1000, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null },
      subject: ID,
      createdBy: 'agent',
      createdAt: image.createdAt,
      endedAt: '2026-01-01T00:01:00.000Z',
      result: { status: 'available', format: 'raw' },
    })
    expect(scene(available).tasks.find(TASKS.digest)).toBeUndefined()
    expect(scene({ ...available, digest: 'sha256:2' }).tasks.find(TASKS.digest)).toMatchObject({ state: 'succeeded', result: { digest: 'sha256:2' } })
    const refused: Image = { ...image, status: 'error', statusReason: 'It is cut off.' }
    expect(scene(refused).tasks.find(TASKS.inspect)).toMatchObject({ state: 'failed', detail: 'It is cut off.', endedAt: image.createdAt })
    expect(scene({ ...refused, manifestDigest: null }).tasks.find(TASKS.inspect)).toBeUndefined()
    expect(scene(image).tasks.find(TASKS.inspect)).toBeUndefined()
  })
})
