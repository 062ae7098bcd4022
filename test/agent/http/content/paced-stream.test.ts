// Long bodies in turns of the gate, and the deadline for the file system.

import { describe, expect, test } from 'bun:test'
import { withinDeadline } from '../../../../agent/http/deadline.ts'
import { openPacedStream } from '../../../../agent/http/content/paced-stream.ts'
import { createTransferGate, TURN_BYTES } from '../../../../agent/http/content/transfer-gate.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

/** A stream of pieces of these lengths; `did` has what happened, in order. */
async function open(lengths: readonly (number | Error)[], options: { readonly ends?: boolean; readonly isWholeAt?: number } = {}) {
  const did: string[] = []
  const request = new AbortController()
  const gate = createTransferGate({ clock: createManualClock(), limit: 1 })
  let read = 0
  const stream = openPacedStream({
    gate,
    key: 'ann',
    signal: request.signal,
    async *open(signal) {
      did.push(`open at ${read}`)
      try {
        while (read < lengths.length) {
          signal.throwIfAborted()
          const length = lengths[read++]
          if (length instanceof Error) throw length
          yield new Uint8Array(length ?? 0).fill(read)
        }
      } finally {
        did.push('left')
      }
    },
    isWhole: () => read === (options.isWholeAt ?? lengths.length),
    ended: () => void did.push(`ended, ${gate.state().active} active`),
    failed: async (error) => void did.push(`failed: ${String(error)}`),
  })
  return { did, request, gate, stream }
}

describe('a paced stream', () => {
  test('sends every piece, and gives its turn back at the end', async () => {
    const it = await open([3, 2])
    const bytes = await new Response(await it.stream).bytes()
    expect([...bytes]).toEqual([1, 1, 1, 2, 2])
    expect(it.did.slice(0, 2)).toEqual(['open at 0', 'ended, 1 active'])
    expect(it.gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('reads a piece only when the one before was read', async () => {
    const it = await open([1, 1, 1])
    const reader = (await it.stream).getReader()
    await reader.read()
    expect(it.did).toEqual(['open at 0'])
    await reader.cancel()
    expect(it.did).toEqual(['open at 0', 'ended, 1 active', 'left'])
    expect(it.gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('that fails at its first piece is answered with the error', async () => {
    const it = await open([new Error('damaged')])
    await expect(it.stream).rejects.toThrow('damaged')
    expect(it.did).toEqual(['open at 0', 'left', 'failed: Error: damaged', 'ended, 1 active'])
    expect(it.gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('that fails later breaks after it told why', async () => {
    const it = await open([1, new Error('damaged')])
    await expect(new Response(await it.stream).bytes()).rejects.toThrow('damaged')
    expect(it.did).toEqual(['open at 0', 'left', 'failed: Error: damaged', 'ended, 1 active'])
  })

  test('whose source ends too early fails', async () => {
    const it = await open([1, 1], { isWholeAt: 3 })
    await expect(new Response(await it.stream).bytes()).rejects.toThrow('the source of a stream ended before it was complete')
    expect(it.did.at(-2)).toBe('failed: Error: the source of a stream ended before it was complete')
  })

  test('whose client left is no failure', async () => {
    const it = await open([1, 1, 1])
    const reader = (await it.stream).getReader()
    await reader.read()
    it.request.abort(new Error('gone'))
    expect(it.did.slice(0, 2)).toEqual(['open at 0', 'ended, 1 active'])
    await expect(reader.read()).rejects.toThrow()
    expect(it.did.filter((one) => one.startsWith('failed') || one.startsWith('ended'))).toHaveLength(1)
    expect(it.gate.state()).toEqual({ active: 0, waiting: 0 })
  })

  test('lets another one pass after its share, and goes on where it was', async () => {
    const it = await open([TURN_BYTES, 5])
    const reader = (await it.stream).getReader()
    const other = await Promise.race([it.gate.enter('bob'), Promise.resolve(undefined)])
    expect(other).toBeUndefined()
    expect((await reader.read()).value?.byteLength).toBe(TURN_BYTES)
    expect(it.gate.state()).toEqual({ active: 1, waiting: 1 })
    await reader.cancel()
    expect(it.gate.state()).toEqual({ active: 1, waiting: 0 })
  })
})

describe('a deadline', () => {
  test.each([undefined, 2000])('of %p ms passes on what is ready in time, and leaves no timer', async (ms) => {
    const clock = createManualClock()
    expect(await withinDeadline(clock, Promise.resolve(5), ms)).toBe(5)
    await expect(withinDeadline(clock, Promise.reject(new Error('EIO')), ms)).rejects.toThrow('EIO')
    const never = withinDeadline(clock, new Promise(() => {}), ms)
    await clock.untilSleeping(1)
    clock.advance((ms ?? 5000) - 1)
    let isOver = false
    never.catch(() => (isOver = true))
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    expect(isOver).toBe(false)
    clock.advance(1)
    await expect(never).rejects.toMatchObject({ code: 'store-unavailable', message: 'The file system of the store does not answer.' })
  })
})
