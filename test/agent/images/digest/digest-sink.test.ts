// The sinks that hash an image: on the event loop and in a worker, with zeros, and what an abort and the end leave behind.

import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import { getPriority } from 'node:os'
import { BUFFER_BYTES, openInlineSink, openWorkerSink } from '../../../../agent/images/digest/digest-sink.ts'
import type { DigestSink } from '../../../../agent/images/digest/digest-sink.ts'
import { createRandom } from '../../../support/properties.ts'
import { niceOf, workerThreads } from '../../../support/machine/worker-threads.ts'
import { until } from '../../../support/until.ts'

const isLinux = process.platform === 'linux'
const never = new AbortController().signal
const noise = createRandom(1).bytes(6 * BUFFER_BYTES)

describe.each<[string, () => DigestSink]>([
  ['on the event loop', openInlineSink],
  ['in a worker', () => openWorkerSink(true, never)],
  ['in a worker in the background', () => openWorkerSink(false, never)],
])('a sink %s', (_where, open) => {
  test.each<[string, readonly (Buffer | number)[]]>([
    ['nothing', []],
    ['less than a buffer', [noise.subarray(0, 100)]],
    ['exactly a buffer', [noise.subarray(0, BUFFER_BYTES)]],
    ['a byte more', [noise.subarray(0, BUFFER_BYTES + 1)]],
    ['more buffers than the worker has', [noise]],
    ['small pieces across buffers', [noise.subarray(0, 700_000), noise.subarray(700_000, 1_400_000), noise.subarray(1_400_000, 2_100_001)]],
    ['zeros alone', [200_001]],
    ['zeros of one block of them', [65_536]],
    ['zeros between bytes', [noise.subarray(0, 10), 131_072, noise.subarray(10, 20), 1, noise.subarray(20, 30)]],
  ])('hashes %s', async (_what, parts) => {
    using sink = open()
    const hash = new Bun.CryptoHasher('sha256')
    for (const part of parts) {
      hash.update(typeof part === 'number' ? new Uint8Array(part) : part)
      if (typeof part === 'number') sink.zeros(part)
      else await sink.write(part)
    }
    expect(await sink.end()).toBe(hash.digest('hex'))
  })
})

describe('an abort', () => {
  test('rejects the digest with its reason, also while zeros are hashed', async () => {
    const controller = new AbortController()
    using sink = openWorkerSink(true, controller.signal)
    sink.zeros(1e12)
    const digest = sink.end()
    controller.abort(new Error('left'))
    await expect(digest).rejects.toThrow('left')
  })

  test('rejects a write that waits for a buffer', async () => {
    const controller = new AbortController()
    using sink = openWorkerSink(true, controller.signal)
    // The worker does not return any buffer before these are hashed.
    sink.zeros(1e12)
    await sink.write(noise.subarray(0, 4 * BUFFER_BYTES))
    const write = sink.write(noise)
    controller.abort(new Error('left'))
    await expect(write).rejects.toThrow('left')
  })

  test('is not listened to after the end', async () => {
    const controller = new AbortController()
    const sink = openWorkerSink(true, controller.signal)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
    await sink.end()
    sink[Symbol.dispose]()
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })
})

describe.skipIf(!isLinux)('the thread', () => {
  test.each([
    ['a client waits for has the priority of its caller', true],
    ['nobody waits for has the lowest priority', false],
  ])('of a digest that %s', async (_what, isAwaited) => {
    const before = workerThreads()
    using sink = openWorkerSink(isAwaited, never)
    await sink.write(noise)
    await sink.end()
    expect(workerThreads(before).map(niceOf)).toEqual([isAwaited ? getPriority(0) : 19])
  })

  test('ends with the sink', async () => {
    const before = workerThreads()
    for (let i = 0; i < 3; i++) {
      using sink = openWorkerSink(true, never)
      await sink.end()
    }
    await until('the threads are gone', () => workerThreads(before).length === 0)
  })
})
