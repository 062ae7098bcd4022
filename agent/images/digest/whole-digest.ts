// Computes the SHA-256 of a complete image, as `sha256sum` would: reads its slices and hashes them in a worker. Long runs of zeros are not read.

import { parseDigest } from '../../../protocol/digest.ts'
import type { Digest } from '../../../protocol/digest.ts'
import type { Manifest } from '../../../protocol/manifest.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import { updateWithZeros } from './zeros.ts'

const BUFFER_BYTES = 1024 * 1024
/** Maximum number of buffers, which are transferred to the worker and back. */
const BUFFERS_MAX = 4
/** Images up to this length are hashed on the event loop, which takes a few milliseconds. */
const INLINE_LENGTH_MAX = 4 * BUFFER_BYTES
/** Bytes read between two pauses for other work on the event loop. */
const STEP_BYTES = 2 * BUFFER_BYTES
/** Minimum length of a run of zeros that is not read: the worker receives only its length. */
const ZERO_SPAN_MIN = BUFFER_BYTES

export type DigestOrder =
  /** No client waits for this digest: other work has priority. */
  | { readonly kind: 'background' }
  | { readonly kind: 'piece'; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number }
  | { readonly kind: 'end' }
export type DigestAnswer = { readonly kind: 'taken'; readonly buffer: ArrayBuffer } | { readonly kind: 'digest'; readonly hex: string }

export interface WholeDigestOptions {
  /** Whether a client waits for the digest; if not, uploads have priority. */
  readonly isAwaited: boolean
  /** Lets other work run first. */
  readonly pause: () => Promise<void>
  readonly signal: AbortSignal
}

/** Computes the digest of all bytes of an image. Throws SliceUnreadable if a slice cannot be read, and the signal's reason if aborted. */
export async function computeWholeDigest(slices: SliceProvider, manifest: Manifest, { isAwaited, pause, signal }: WholeDigestOptions): Promise<Digest> {
  using sink = manifest.imageLength <= INLINE_LENGTH_MAX ? openInlineSink() : openWorkerSink(isAwaited, signal)
  let taken = 0
  for await (const { start, end, isZero } of spansOf(manifest, pause)) {
    if (isZero) {
      sink.zeros(end - start)
      continue
    }
    for await (const piece of slices.read(manifest, start, end, signal)) {
      await sink.write(piece)
      taken += piece.byteLength
      if (taken < STEP_BYTES) continue
      taken = 0
      await pause()
    }
  }
  signal.throwIfAborted()
  const digest = parseDigest(`sha256:${await sink.end()}`)
  if (!digest) throw new Error('the hash of an image is not a digest')
  return digest
}

interface Span {
  readonly start: number
  readonly end: number
  readonly isZero: boolean
}

/** Yields long runs of zeros and the spans between them. */
async function* spansOf(manifest: Manifest, pause: () => Promise<void>): AsyncGenerator<Span> {
  let start = 0
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) {
      const length = block.lengthAt(i)
      if (length < ZERO_SPAN_MIN || !block.isZeroAt(i)) continue
      const zeros = block.offsetAt(i)
      if (zeros > start) yield { start, end: zeros, isZero: false }
      start = zeros + length
      yield { start: zeros, end: start, isZero: true }
    }
    await pause()
  }
  if (start < manifest.imageLength) yield { start, end: manifest.imageLength, isZero: false }
}

/** Hashes the bytes of one image in order. */
interface DigestSink extends Disposable {
  write(piece: Uint8Array): Promise<void>
  /** Hashes this many zeros. Callers write bytes between two calls, so the number of buffers bounds the number of pending messages. */
  zeros(length: number): void
  end(): Promise<string>
}

function openInlineSink(): DigestSink {
  const hash = new Bun.CryptoHasher('sha256')
  return {
    async write(piece) {
      hash.update(piece)
    },
    zeros: (length) => updateWithZeros(hash, length),
    end: async () => hash.digest('hex'),
    [Symbol.dispose]: () => {},
  }
}

function openWorkerSink(isAwaited: boolean, signal: AbortSignal): DigestSink {
  const worker = new Worker(new URL('./digest-worker.ts', import.meta.url).href)
  const free: ArrayBuffer[] = []
  let made = 0
  let whenFree: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<string>()
  // Prevents an unhandled rejection if the sink is disposed before `end`.
  ended.promise.catch(() => {})
  // Hashing zeros can take minutes, so an abort does not wait for the worker.
  const onAbort = (): void => {
    ended.reject(signal.reason)
    whenFree?.reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort)
  const send = (order: DigestOrder, transfer: ArrayBuffer[] = []): void => worker.postMessage(order, transfer)
  if (!isAwaited) send({ kind: 'background' })

  worker.addEventListener('message', (event: MessageEvent<DigestAnswer>) => {
    const answer = event.data
    if (answer.kind === 'digest') return ended.resolve(answer.hex)
    free.push(answer.buffer)
    whenFree?.resolve()
  })
  worker.addEventListener('error', (event) => {
    const error = new Error(`the digest worker failed: ${event.message}`)
    ended.reject(error)
    whenFree?.reject(error)
  })
  let current: { readonly buffer: ArrayBuffer; filled: number } | undefined
  const takeBuffer = async (): Promise<ArrayBuffer> => {
    for (;;) {
      const buffer = free.pop()
      if (buffer) return buffer
      if (made < BUFFERS_MAX) {
        made++
        return new ArrayBuffer(BUFFER_BYTES)
      }
      whenFree = Promise.withResolvers()
      await Promise.race([whenFree.promise, ended.promise])
    }
  }
  const flush = (): void => {
    if (current) send({ kind: 'piece', buffer: current.buffer, length: current.filled }, [current.buffer])
    current = undefined
  }
  return {
    async write(piece) {
      for (let at = 0; at < piece.byteLength;) {
        current ??= { buffer: await takeBuffer(), filled: 0 }
        const part = piece.subarray(at, at + BUFFER_BYTES - current.filled)
        new Uint8Array(current.buffer).set(part, current.filled)
        current.filled += part.byteLength
        at += part.byteLength
        if (current.filled === BUFFER_BYTES) flush()
      }
    },
    zeros(length) {
      flush()
      send({ kind: 'zeros', length })
    },
    end() {
      flush()
      send({ kind: 'end' })
      return ended.promise
    },
    [Symbol.dispose]() {
      signal.removeEventListener('abort', onAbort)
      worker.terminate()
    },
  }
}
