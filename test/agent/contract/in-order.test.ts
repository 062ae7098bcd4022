// The in-order queue: one step at a time, in the order of the calls, whatever the steps do.

import { describe, expect, test } from 'bun:test'
import { createInOrder, createInOrderByKey } from '../../../agent/contract/in-order.ts'

describe('run', () => {
  test('runs steps one at a time, in the order of the calls, and returns their results', async () => {
    const queue = createInOrder()
    const gate = Promise.withResolvers<void>()
    const events: string[] = []
    const step = (name: string, wait: Promise<void>) => (): Promise<string> => {
      events.push(`${name} starts`)
      return wait.then(() => {
        events.push(`${name} ends`)
        return name
      })
    }
    const results = [queue.run(step('a', gate.promise)), queue.run(step('b', Promise.resolve())), queue.run(step('c', Promise.resolve()))]
    await Promise.resolve()
    expect(events).toEqual(['a starts'])
    gate.resolve()
    expect(await Promise.all(results)).toEqual(['a', 'b', 'c'])
    expect(events).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'])
  })

  test('runs later steps when an earlier one rejects or throws, and reports the error to its caller only', async () => {
    const queue = createInOrder()
    const outcomes = await Promise.allSettled([
      queue.run(() => Promise.reject(new Error('rejected'))),
      queue.run(() => {
        throw new Error('thrown')
      }),
      queue.run(async () => 'fine'),
    ])
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { message: 'rejected' } },
      { status: 'rejected', reason: { message: 'thrown' } },
      { status: 'fulfilled', value: 'fine' },
    ])
  })

  test('does not start a step in the tick of its call', async () => {
    const queue = createInOrder()
    let isStarted = false
    const done = queue.run(async () => void (isStarted = true))
    expect(isStarted).toBe(false)
    await done
    expect(isStarted).toBe(true)
  })
})

describe('idle', () => {
  test('resolves after every step passed before, also when one fails', async () => {
    const queue = createInOrder()
    await queue.idle()
    const gate = Promise.withResolvers<void>()
    let isIdle = false
    const failing = queue.run(() => gate.promise.then(() => Promise.reject(new Error('failed'))))
    const idle = queue.idle().then(() => (isIdle = true))
    await Promise.resolve()
    expect(isIdle).toBe(false)
    gate.resolve()
    await expect(failing).rejects.toThrow('failed')
    await idle
    expect(isIdle).toBe(true)
  })
})

describe('queues by key', () => {
  test('run steps of one key in the order of the calls, and those of another key in parallel', async () => {
    const queues = createInOrderByKey()
    const gate = Promise.withResolvers<void>()
    const events: string[] = []
    const first = queues.run('a', async () => {
      events.push('a1 starts')
      await gate.promise
      events.push('a1 ends')
      throw new Error('a1 failed')
    })
    const second = queues.run('a', async () => events.push('a2'))
    await queues.run('b', async () => events.push('b'))
    expect(events).toEqual(['a1 starts', 'b'])
    gate.resolve()
    await expect(first).rejects.toThrow('a1 failed')
    await second
    // The key has no queue any more, or a new one.
    await queues.run('a', async () => events.push('a3'))
    expect(events).toEqual(['a1 starts', 'b', 'a1 ends', 'a2', 'a3'])
  })
})
