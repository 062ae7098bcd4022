// The stream between a source and an upload: it passes bytes on, skips, counts, and ends a source that is too slow, but not a store that is.

import { expect, test } from 'bun:test'
import { createSourceStream, RATE_WINDOW_BYTES_MIN } from '../../../agent/imports/source-stream.ts'
import { SourceInterrupted } from '../../../agent/imports/source.ts'
import { ProblemError } from '../../../protocol/problems.ts'

/** A clock that a test moves by hand; `move` also calls the timers. */
function manualClock() {
  let nowMs = 0
  const timers = new Set<() => void>()
  return {
    monotonicMs: () => nowMs,
    every(_ms: number, run: () => void) {
      timers.add(run)
      return { [Symbol.dispose]: () => void timers.delete(run) }
    },
    timers,
    move(ms: number) {
      nowMs += ms
      for (const run of timers) run()
    },
  }
}

/** A source whose pieces the test provides one by one. A read that waits ends when the source is aborted. */
function manualSource() {
  const aborted = Promise.withResolvers<never>()
  aborted.promise.catch(() => {})
  const given: Uint8Array[] = []
  let wake = (): void => {}
  return {
    abort: () => aborted.reject(new Error('aborted')),
    give(piece: Uint8Array) {
      given.push(piece)
      wake()
    },
    async *pieces(): AsyncGenerator<Uint8Array> {
      for (;;) {
        while (given.length === 0) await Promise.race([new Promise<void>((resolve) => (wake = resolve)), aborted.promise])
        yield given.shift() ?? new Uint8Array(0)
      }
    },
  }
}

/** Lets everything that is due run. */
const settle = (): Promise<void> => Bun.sleep(0)

test('a source that sends less than 10 KiB/s for a minute is ended', async () => {
  const clock = manualClock()
  const source = manualSource()
  const { stream, failure } = createSourceStream(source.pieces(), source.abort, { clock, skip: 0, onBytes: () => {} })
  const reader = stream.getReader()
  for (let seconds = 0; seconds < 60; seconds++) {
    const piece = reader.read()
    await settle()
    expect(failure()).toBeUndefined()
    clock.move(1000)
    // One byte a second too few.
    if (seconds < 59) source.give(new Uint8Array(10 * 1024 - 1))
    await (seconds < 59 ? piece : expect(piece).rejects.toThrow('it sent less than 10 KiB/s for a minute'))
  }
  expect(failure()).toBeInstanceOf(SourceInterrupted)
  expect(clock.timers.size).toBe(0)
})

test('a source that sends enough continues, in every window', async () => {
  const clock = manualClock()
  const source = manualSource()
  const { stream, failure } = createSourceStream(source.pieces(), source.abort, { clock, skip: 0, onBytes: () => {} })
  const reader = stream.getReader()
  for (let minute = 0; minute < 3; minute++) {
    const first = reader.read()
    await settle()
    clock.move(30_000)
    source.give(new Uint8Array(RATE_WINDOW_BYTES_MIN))
    await first
    const second = reader.read()
    await settle()
    clock.move(30_000)
    source.give(new Uint8Array(1))
    await second
  }
  expect(failure()).toBeUndefined()
  await reader.cancel()
  expect(clock.timers.size).toBe(0)
})

test('the time of a slow store does not count', async () => {
  const clock = manualClock()
  const source = manualSource()
  const { stream, failure } = createSourceStream(source.pieces(), source.abort, { clock, skip: 0, onBytes: () => {} })
  const reader = stream.getReader()
  const first = reader.read()
  source.give(new Uint8Array(1))
  await first
  // The next piece arrives at once and waits for the store.
  source.give(new Uint8Array(1))
  await settle()
  clock.move(600_000)
  expect((await reader.read()).done).toBe(false)
  expect(failure()).toBeUndefined()
  await reader.cancel()
})

test('bytes are skipped across pieces, and counted without what was skipped', async () => {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('abc')
    yield Buffer.from('def')
    yield Buffer.from('ghi')
  }
  const counts: number[] = []
  const { stream } = createSourceStream(source(), () => {}, { clock: manualClock(), skip: 4, onBytes: (count) => void counts.push(count) })
  expect(await new Response(stream).text()).toBe('efghi')
  expect(counts).toEqual([2, 5])
})

test('a source that is shorter than what is skipped has changed', async () => {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('abc')
  }
  const { stream, failure } = createSourceStream(source(), () => {}, { clock: manualClock(), skip: 4, onBytes: () => {} })
  await expect(new Response(stream).text()).rejects.toThrow('The source is shorter than before.')
  expect(failure()).toBeInstanceOf(ProblemError)
})

test('the error of a source reaches the one who asks, and the source is told to end', async () => {
  let isAborted = false
  const error = new SourceInterrupted('the connection was lost')
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('abc')
    throw error
  }
  const { stream, failure } = createSourceStream(source(), () => void (isAborted = true), { clock: manualClock(), skip: 0, onBytes: () => {} })
  await expect(new Response(stream).text()).rejects.toThrow('the connection was lost')
  expect([failure(), isAborted]).toEqual([error, true])
})
