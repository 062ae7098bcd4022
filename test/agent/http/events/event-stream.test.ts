// A stream of events at its times and bounds: comments, states, slow and lost clients, and when it ends. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { streamEvents } from '../../../../agent/http/events/event-stream.ts'
import type { EventStream } from '../../../../agent/http/events/event-stream.ts'
import type { StoreState } from '../../../../protocol/store-state.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryEventLog } from '../../../support/memory/memory-state.ts'

/** A stream that begins when the agent has run for a time, in milliseconds. */
function createScene(changes: Partial<EventStream> = {}, ageMs = 0) {
  const clock = createManualClock()
  clock.advance(ageMs)
  const events = createMemoryEventLog(clock)
  const gone = new AbortController()
  const stopping = new AbortController()
  const state = { isValid: true, ends: 0 }
  const body = streamEvents(
    { events, clock, stopping: stopping.signal },
    {
      filter: {},
      select: (found) => [...found],
      readState: undefined,
      from: '0',
      gone: gone.signal,
      isValid: () => state.isValid,
      onEnd: () => void state.ends++,
      ...changes,
    },
  )
  const reader = body.getReader()
  return {
    clock,
    events,
    gone,
    stopping,
    state,
    reader,
    emit: (subject: string, type = 'store.changed') => events.emit({ type, severity: 'info', subject, actor: 'x', message: '', details: {} }),
    /** Returns the next piece; null when the stream has ended. */
    async next(): Promise<string | null> {
      const { done, value } = await reader.read()
      return done ? null : new TextDecoder().decode(value)
    },
  }
}

const settle = () => Bun.sleep(0)
/** The subjects of the events in a piece. */
const subjects = (piece: string | null): string[] => [...(piece ?? '').matchAll(/"subject":"([^"]*)"/g)].map(([, subject = '']) => subject)

describe('a stream of events', () => {
  test('asks its client to reconnect after three seconds, and sends each event with its id', async () => {
    const it = createScene()
    it.emit('a')
    expect(await it.next()).toBe('retry: 3000\n\n')
    const piece = await it.next()
    expect(piece).toStartWith('id: 1\ndata: {"id":"1",')
    expect(piece).toEndWith('}\n\n')
    it.emit('b')
    expect(subjects(await it.next())).toEqual(['b'])
  })

  test('sends at most 100 events at once, and leaves out those that its client may not see', async () => {
    const it = createScene({ select: (found) => found.filter(({ subject }) => subject !== '150') })
    for (let i = 1; i <= 201; i++) it.emit(String(i))
    await it.next()
    const first = subjects(await it.next())
    expect([first.length, first[0], first.at(-1)]).toEqual([100, '1', '100'])
    const second = subjects(await it.next())
    expect([second.length, second[0], second.at(-1)]).toEqual([99, '101', '200'])
    expect(subjects(await it.next())).toEqual(['201'])
  })

  test('passes over what its client may not see or did not ask for, and goes on', async () => {
    const it = createScene({ filter: { type: 'store.changed' }, select: (found) => found.filter(({ subject }) => subject === 'seen') })
    for (let i = 0; i < 250; i++) it.emit('hidden')
    it.emit('seen', 'store.enabled')
    it.emit('seen')
    await it.next()
    expect(await it.next()).toStartWith('id: 252\n')
  })

  test('sends a comment after 15 seconds without an event', async () => {
    const it = createScene()
    await it.next()
    let piece: string | null | undefined
    void it.next().then((next) => (piece = next))
    await it.clock.untilSleeping(1)
    it.clock.advance(14_999)
    await settle()
    expect(piece).toBeUndefined()
    it.clock.advance(1)
    await settle()
    expect(piece).toBe(':\n\n')
  })

  test.each([
    ['the agent stops', (it: ReturnType<typeof createScene>) => it.stopping.abort()],
    ['its client is gone', (it: ReturnType<typeof createScene>) => it.gone.abort()],
    ['it is an hour old', (it: ReturnType<typeof createScene>) => it.clock.advance(3_600_000)],
    [
      'its token is no longer valid',
      (it: ReturnType<typeof createScene>) => {
        it.state.isValid = false
        it.clock.advance(5000)
      },
    ],
  ])('ends when %s, once', async (_why, end) => {
    const it = createScene()
    await it.next()
    const last = (async () => {
      for (let piece = await it.next(); piece !== null; piece = await it.next()) expect(piece).toBe(':\n\n')
      return 'ended'
    })()
    await it.clock.untilSleeping(1)
    end(it)
    expect(await last).toBe('ended')
    it.stopping.abort()
    it.gone.abort()
    it.clock.advance(10_000_000)
    expect(it.state.ends).toBe(1)
  })

  test('is not ended a moment before its hour, or before its token is looked at, however long the agent has run', async () => {
    const it = createScene({}, 86_400_000)
    for (let ms = 0; ms < 3_595_000; ms += 5000) {
      it.clock.advance(5000)
      if (ms % 15_000 === 0) await it.next()
    }
    it.state.isValid = false
    it.clock.advance(4999)
    expect(it.state.ends).toBe(0)
    it.clock.advance(1)
    expect(it.state.ends).toBe(1)
  })

  test('does not break while its client read something within the last minute, however old it is', async () => {
    const it = createScene()
    await it.next()
    await it.clock.untilSleeping(1)
    it.clock.advance(15_000)
    await settle()
    // The comment of the 15th second waits to be read.
    for (let ms = 15_000; ms < 70_000; ms += 5000) it.clock.advance(5000)
    expect(it.state.ends).toBe(0)
    it.clock.advance(5000)
    expect(it.state.ends).toBe(1)
  })

  test('breaks when its client reads nothing for a minute', async () => {
    const it = createScene()
    it.emit('a')
    await settle()
    it.clock.advance(59_999)
    await settle()
    expect(it.state.ends).toBe(0)
    it.clock.advance(1)
    expect(it.state.ends).toBe(1)
    await expect(it.reader.read()).rejects.toThrow('the client read no event for 60 s')
  })

  test('ends when its client cancels it', async () => {
    const it = createScene()
    await it.next()
    await it.reader.cancel()
    expect(it.state.ends).toBe(1)
  })
})

describe('a stream with the state of the store', () => {
  function createStates() {
    let reads = 0
    const it = createScene({ readState: async () => ({ position: String(++reads) }) as StoreState })
    return { ...it, reads: () => reads }
  }

  test('begins with a state, and has another one after 20 seconds, instead of comments', async () => {
    const it = createStates()
    await it.next()
    expect(await it.next()).toBe('event: state\ndata: {"position":"1"}\n\n')
    let piece: string | null | undefined
    void it.next().then((next) => (piece = next))
    await it.clock.untilSleeping(1)
    it.clock.advance(19_999)
    await settle()
    expect(piece).toBeUndefined()
    it.clock.advance(1)
    await settle()
    expect(piece).toBe('event: state\ndata: {"position":"2"}\n\n')
  })

  test('has one state in each second of many events', async () => {
    const it = createStates()
    await it.next()
    await it.next()
    it.emit('a')
    expect(subjects(await it.next())).toEqual(['a'])
    let piece: string | null | undefined
    void it.next().then((next) => (piece = next))
    await it.clock.untilSleeping(1)
    it.clock.advance(999)
    await settle()
    expect([piece, it.reads()]).toEqual([undefined, 1])
    it.clock.advance(1)
    await settle()
    expect(piece).toBe('event: state\ndata: {"position":"2"}\n\n')
  })

  test('is read again after events that its client did not ask for, which can change it too', async () => {
    let reads = 0
    const it = createScene({ filter: { type: 'none' }, readState: async () => ({ position: String(++reads) }) as StoreState })
    await it.next()
    await it.next()
    it.clock.advance(1000)
    it.emit('a')
    expect(await it.next()).toBe('event: state\ndata: {"position":"2"}\n\n')
  })
})
