// The bounds of the state that a stream of events sends, as literals.

import { expect, test } from 'bun:test'
import { createStoreStates } from '../../../../agent/http/events/store-state.ts'
import type { StoreStateDeps } from '../../../../agent/http/events/store-state.ts'

test('the state of a store counts all tasks, names 20 of them, and shows 256 characters of subject and creator', async () => {
  const task = (id: string, state: string) => ({
    id,
    kind: 'gc',
    state,
    subject: 's'.repeat(257),
    createdBy: 'c'.repeat(257),
    progress: { done: 0, total: null },
  })
  const asked: { state?: string; limit?: number }[] = []
  const deps = {
    events: { latestId: () => '7' },
    health: () => Promise.resolve({}),
    store: () => Promise.resolve({}),
    findImage: () => undefined,
    tasks: {
      isOrderedBy: () => true,
      list: (query: { state?: 'running' | 'queued'; limit?: number }) => {
        asked.push(query)
        return { items: Array.from({ length: query.state === 'running' ? 2 : 19 }, (_, i) => task(`${query.state}-${i}`, query.state ?? '')), next: null }
      },
    },
  } as unknown as StoreStateDeps
  const { tasks } = await createStoreStates(deps)({ name: 'root', role: 'admin', tokenId: 'tok_1' })
  expect([tasks.running, tasks.queued, tasks.items.length]).toEqual([2, 19, 20])
  expect(tasks.items.map(({ id }) => id).slice(0, 3)).toEqual(['running-0', 'running-1', 'queued-0'])
  expect([tasks.items[0]?.subject, tasks.items[0]?.createdBy]).toEqual(['s'.repeat(256), 'c'.repeat(256)])
  expect(asked.map(({ limit }) => limit)).toEqual([1000, 1000])
})

test('a store whose file system does not answer has a state without its description', async () => {
  const deps = {
    events: { latestId: () => '7' },
    health: () => Promise.resolve({ state: 'error' }),
    store: () => Promise.reject(new Error('the file system does not answer')),
    findImage: () => undefined,
    tasks: { isOrderedBy: () => true, list: () => ({ items: [], next: null }) },
  } as unknown as StoreStateDeps
  expect(await createStoreStates(deps)({ name: 'root', role: 'admin', tokenId: 'tok_1' })).toMatchObject({
    position: '7',
    health: { state: 'error' },
    store: null,
    tasks: { running: 0, queued: 0, items: [] },
  })
})
