// A sync whose source does not answer yet: a new one fails soon, one that runs again waits.

import { expect, test } from 'bun:test'
import type { TaskContext, TaskRunner } from '../../../agent/contract/work.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, IMMEDIATE_CLOCK, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createMemoryTasks } from '../../support/memory/memory-state.ts'

test.each([
  [3, false, 'peer-unreachable'],
  [3, true, 'copied'],
])('of a source that refuses the first %i connections, a sync (rerun: %p) is %s', async (refused, isRerun, expected) => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  let runner: TaskRunner = () => Promise.reject(new Error('no runner'))
  const tasks = { ...createMemoryTasks(IMMEDIATE_CLOCK), register: (_kind: string, run: TaskRunner) => void (runner = run) }
  let connections = 0
  const connect = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (++connections <= refused) throw new TypeError('connection refused')
    return await fetch(url, init)
  }
  await using target = await openSyncTarget(folders.target, { clock: IMMEDIATE_CLOCK, tasks, fetch: connect })
  const image = await source.add(seededBytes(100_000, 1), { name: 'debian' })
  const params = { sources: [{ url: server.url }], images: [image.id], role: 'admin' }
  const signal = new AbortController().signal
  const context: TaskContext = { taskId: 'tsk_1', signal, isRerun, secret: '["viewer"]', resultSoFar: () => {}, progress: () => {} }
  const outcome = await runner(params, context).then(
    () => (target.store.catalogue.find(image.id) ? 'copied' : 'nothing'),
    (error: unknown) => (error instanceof ProblemError ? problemCode(error.problem) : String(error)),
  )
  expect(outcome).toBe(expected)
})
