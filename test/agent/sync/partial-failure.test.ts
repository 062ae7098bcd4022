// A sync of several images of which some fail: what their task says, what ends it at once, and when a refusal is the end of a grant.

import { describe, expect, test } from 'bun:test'
import type { TaskContext } from '../../../agent/contract/work.ts'
import { attempt, explained, requireAll, totalsOf } from '../../../agent/sync/partial-failure.ts'
import type { SyncRun } from '../../../agent/sync/partial-failure.ts'
import { createTaskImages } from '../../../agent/sync/task-images.ts'
import type { TaskImages } from '../../../agent/sync/task-images.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { GRANT_TOKEN_PREFIX } from '../../../protocol/sync/sync-grant.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const URL_A = 'http://10.0.0.1:8420'
const GRANT = { url: URL_A, token: `${GRANT_TOKEN_PREFIX}x` }

function openRun() {
  const log = createMemoryLog()
  const parts = createTaskImages()
  const controller = new AbortController()
  const context: Partial<TaskContext> = { taskId: 'tsk_1', signal: controller.signal }
  return { log, parts, controller, run: { deps: { log }, parts, context, addresses: [GRANT] } as unknown as SyncRun }
}

const refusal = (url: string, code: 'unauthenticated' | 'forbidden'): ProblemError =>
  problem('peer-refused', `${url} refused the request.`, {}, { cause: problem(code, 'No.') })

describe('the failure of one image', () => {
  test('belongs to that image, and is logged with its task', async () => {
    const { run, parts, log } = openRun()
    const part = parts.add('one')
    expect(await attempt(run, part, async () => 7)).toBe(7)
    expect(await attempt(run, part, () => Promise.reject(problem('not-found', 'There is no image one.')))).toBeUndefined()
    expect(parts.list()).toMatchObject([{ name: 'one', outcome: 'failed', error: { detail: 'There is no image one.' } }])
    expect(log.lines).toEqual([
      { level: 'warn', message: 'an image of a sync could not be copied', fields: { taskId: 'tsk_1', detail: 'There is no image one.' } },
    ])
  })

  test('ends the task when it is no problem of an image, or when the task was stopped', async () => {
    const { run, parts, controller } = openRun()
    const part = parts.add('one')
    const defect = new Error('a defect')
    expect(attempt(run, part, () => Promise.reject(defect))).rejects.toBe(defect)
    const stop = new Error('the agent stops')
    controller.abort(stop)
    expect(attempt(run, part, () => Promise.reject(problem('not-found', 'x')))).rejects.toBe(stop)
    expect(parts.failures()).toEqual([])
  })
})

describe('a refusal by a source', () => {
  test('is the end of its grant when the token of the grant is not known any more', () => {
    const error = refusal(URL_A, 'unauthenticated')
    const shown = explained(error, [{ url: 'http://10.0.0.2:8420', token: 't' }, GRANT])
    expect(shown).toMatchObject({ code: 'grant-ended', message: `The grant of ${URL_A} for this copy has expired or was revoked.`, cause: error })
  })

  test.each([
    ['for want of rights', refusal(URL_A, 'forbidden'), [GRANT]],
    ['by a source with another token', refusal(URL_A, 'unauthenticated'), [{ url: URL_A, token: 'operator' }]],
    ['by another source', refusal(`${URL_A}1`, 'unauthenticated'), [GRANT]],
    ['of another kind', problem('peer-invalid', `${URL_A} sent no image.`, {}, { cause: problem('unauthenticated', 'No.') }), [GRANT]],
    ['that is no problem', new Error(`${URL_A} is gone`), [GRANT]],
  ])('%s stays what it is', (_name, error, addresses) => {
    expect(explained(error, addresses)).toBe(error)
  })
})

describe('a task', () => {
  const images = (failed: readonly string[], ended: readonly string[]): TaskImages => {
    const parts = createTaskImages()
    for (const name of ended) parts.add(name).ended({ outcome: 'copied', bytesMoved: 1, bytesPresent: 20, bytesZero: 300 })
    for (const name of failed) parts.add(name).failed(problem('not-found', `There is no ${name}.`).problem)
    return parts
  }
  const failureOf = (parts: TaskImages): unknown => {
    try {
      requireAll(parts)
    } catch (error) {
      return error
    }
    return undefined
  }

  test('of images that are all here does not fail', () => {
    expect(failureOf(images([], ['a', 'b']))).toBeUndefined()
    expect(failureOf(images([], []))).toBeUndefined()
  })

  test('of one image fails as that image', () => {
    expect(failureOf(images(['a'], []))).toMatchObject({ code: 'not-found', message: 'There is no a.' })
  })

  test.each([
    [['a'], ['x'], '1 of 2 images were not copied; the others are here. a: There is no a.'],
    [['a', 'b', 'c'], ['x'], '3 of 4 images were not copied; the others are here. a: There is no a. b: There is no b. c: There is no c.'],
    [['a', 'b', 'c', 'd', 'e'], [], '5 of 5 images were not copied; the others are here. a: There is no a. b: There is no b. c: There is no c. And 2 more.'],
  ])('names the first three of %p', (failed, ended, detail) => {
    const error = failureOf(images(failed, ended))
    expect(error).toMatchObject({ code: 'not-found', message: detail, problem: { failed: failed.length, total: failed.length + ended.length } })
  })

  test('counts the bytes that were not moved, and says whether it only looked', () => {
    const parts = images(['c'], ['a', 'b'])
    expect(totalsOf(parts, false)).toEqual({ bytesAvoided: 640 })
    expect(totalsOf(parts, true)).toEqual({ bytesAvoided: 640, dryRun: true })
  })
})

test('the images of a task show what became of each, without those that were named twice', () => {
  const parts = createTaskImages()
  const [one, twice, three] = [parts.add('one'), parts.add('one'), parts.add('three')]
  expect(parts.list().map(({ id, outcome }) => `${id} ${outcome}`)).toEqual(['one queued', 'one queued', 'three queued'])
  one.described('img_1', 'debian')
  one.moved(5, 10)
  twice.dropped()
  expect(parts.list()).toEqual([
    { id: 'img_1', name: 'debian', outcome: 'running', progress: { done: 5, total: 10 } },
    { id: 'three', name: 'three', outcome: 'queued' },
  ])
  one.ended({ outcome: 'copied', bytesMoved: 10, bytesPresent: 2, bytesZero: 3 })
  three.failed(problem('not-found', 'x').problem)
  expect(parts.list().map(({ outcome }) => outcome)).toEqual(['copied', 'failed'])
  expect(parts.failures().map(({ name }) => name)).toEqual(['three'])
})
