// Turns of transfers: their number, their order, and when a turn ends.

import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import { createTransferGate } from '../../../../agent/http/content/transfer-gate.ts'
import type { Turn } from '../../../../agent/http/content/transfer-gate.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

/** Lets promises that are resolved run on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

describe('gate', () => {
  test('admits a limited number, and the next when one leaves', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 2 })
    const first = await gate.enter('a')
    await gate.enter('a')
    let third: Turn | undefined
    void gate.enter('a').then((turn) => (third = turn))
    await settle()
    expect([third, gate.state()]).toEqual([undefined, { active: 2, waiting: 1 }])
    first[Symbol.dispose]()
    await settle()
    expect(third?.isValid).toBe(true)
    expect(gate.state()).toEqual({ active: 2, waiting: 0 })
  })

  test('has 1,000 transfers wait, and refuses the next', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    const first = await gate.enter('a')
    for (let i = 0; i < 1000; i++) void gate.enter('a')
    expect(gate.state()).toEqual({ active: 1, waiting: 1000 })
    await expect(gate.enter('b')).rejects.toThrow('1000 transfers are already waiting.')
    first[Symbol.dispose]()
    void gate.enter('b')
    expect(gate.state()).toEqual({ active: 1, waiting: 1000 })
  })

  test('ends a turn that has sent its share, only if another transfer waits', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    const turn = await gate.enter('a')
    turn.begin()
    turn.end(33_554_432)
    expect(turn.isValid).toBe(true)
    const next = gate.enter('b')
    turn.begin()
    turn.end(33_554_431)
    expect(turn.isValid).toBe(true)
    turn.begin()
    turn.end(1)
    expect(turn.isValid).toBe(false)
    expect((await next).isValid).toBe(true)
  })

  test('ends the turn of a client that reads nothing, but not while a piece is being sent', async () => {
    const clock = createManualClock()
    const gate = createTransferGate({ clock, limit: 1 })
    const turn = await gate.enter('a')
    turn.begin()
    const next = gate.enter('b')
    clock.advance(10_000)
    expect(turn.isValid).toBe(true)
    turn.end(1)
    clock.advance(999)
    expect(turn.isValid).toBe(true)
    clock.advance(1)
    expect(turn.isValid).toBe(false)
    await next
  })

  test('rotates between the keys that wait', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    const order: string[] = []
    let turn = await gate.enter('a')
    for (const key of ['a', 'a', 'b', 'a', 'b', 'c']) {
      void gate.enter(key).then((next) => {
        order.push(key)
        turn = next
      })
    }
    for (let i = 0; i < 6; i++) {
      turn[Symbol.dispose]()
      await settle()
    }
    expect(order).toEqual(['b', 'c', 'a', 'b', 'a', 'a'])
  })

  test('forgets a waiter that aborts', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    const turn = await gate.enter('a')
    const gone = new AbortController()
    const waiting = gate.enter('b', gone.signal).catch((error: unknown) => error)
    gone.abort(new Error('gone'))
    expect(await waiting).toMatchObject({ message: 'gone' })
    turn[Symbol.dispose]()
    expect(gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('does not admit a client that has left, and leaves nothing at the signal of one that was admitted', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    await expect(gate.enter('a', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    const turn = await gate.enter('a')
    const client = new AbortController()
    const waiting = gate.enter('b', client.signal)
    expect(getEventListeners(client.signal, 'abort')).toHaveLength(1)
    turn[Symbol.dispose]()
    const next = await waiting
    expect(getEventListeners(client.signal, 'abort')).toHaveLength(0)
    client.abort(new Error('gone'))
    expect([next.isValid, gate.state()]).toEqual([true, { active: 1, waiting: 0 }])
  })

  test('looks at idle clients only while others wait', async () => {
    const clock = createManualClock()
    let timers = 0
    const every: typeof clock.every = (ms, run) => {
      timers++
      const timer = clock.every(ms, run)
      return {
        [Symbol.dispose]() {
          timers--
          timer[Symbol.dispose]()
        },
      }
    }
    const gate = createTransferGate({ clock: { ...clock, every }, limit: 1 })
    const turn = await gate.enter('a')
    clock.advance(60_000)
    expect([turn.isValid, timers]).toEqual([true, 0])
    const [second, third] = [gate.enter('b'), gate.enter('c')]
    expect(timers).toBe(1)
    turn[Symbol.dispose]()
    ;(await second)[Symbol.dispose]()
    await third
    expect(timers).toBe(0)
  })

  test('gives a turn that ended by itself to nobody twice', async () => {
    const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
    const turn = await gate.enter('a')
    const [second, third] = [gate.enter('b'), gate.enter('c')]
    turn.begin()
    turn.end(33_554_432)
    await second
    turn[Symbol.dispose]()
    await settle()
    expect(gate.state()).toEqual({ active: 1, waiting: 1 })
    ;(await second)[Symbol.dispose]()
    await third
  })
})
