// A queue of tasks over a real database, whose syncs run until the test ends them.

import type { NewEvent, TaskContext } from '../../../agent/contract/work.ts'
import { openAgentDatabase } from '../../../agent/tasks/database.ts'
import { TaskQueue } from '../../../agent/tasks/tasks.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'
import { createManualClock } from '../memory/manual-clock.ts'
import { createMemoryLog } from '../memory/memory-log.ts'
import { openTestSealer } from '../memory/test-sealer.ts'

/** Creates a queue in a folder of its own, whose syncs wait for `finish`. */
export async function openTaskQueue(path?: string) {
  const folder = path === undefined ? await createTemporaryFolder() : undefined
  const file = path ?? folder?.file('agent.db') ?? ''
  const database = openAgentDatabase(file)
  const clock = createManualClock()
  const log = createMemoryLog()
  const events: NewEvent[] = []
  const sealer = await openTestSealer()
  const tasks = TaskQueue.open({ database, clock, log, emit: (event) => void events.push(event), crashPoint: () => {}, sealer })
  const runs: { params: unknown; context: TaskContext; finish: (result: Record<string, unknown>) => void; fail: (error: unknown) => void }[] = []
  tasks.register('sync', (params, context) => {
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>()
    context.signal.addEventListener('abort', () => reject(context.signal.reason))
    runs.push({ params, context, finish: resolve, fail: reject })
    return promise
  })
  return {
    file,
    database,
    clock,
    log,
    events,
    tasks,
    runs,
    async [Symbol.asyncDispose]() {
      await tasks[Symbol.asyncDispose]()
      database[Symbol.dispose]()
      await folder?.[Symbol.asyncDispose]()
    },
  }
}

/** Returns an order of a sync. Orders with the same key are the same work. */
export const order = (subject: string, key?: string) => ({
  kind: 'sync' as const,
  subject,
  createdBy: 'ann',
  params: { subject, token: 's3cret' },
  ...(key === undefined ? {} : { key }),
})
