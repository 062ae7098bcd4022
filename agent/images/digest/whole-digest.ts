// SHA-256 of a whole image, as `sha256sum` gives it: its slices read back, its zeros counted, both hashed in a worker.

import { parseDigest } from '../../../protocol/digest.ts'
import type { Digest } from '../../../protocol/digest.ts'
import type { Manifest } from '../../../protocol/manifest.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import { updateWithZeros } from './zeros.ts'

const BUFFER_BYTES = 1024 * 1024
/** Buffers in transfer to the worker and back. */
const BUFFERS_MAX = 4
/** Up to this length hashing takes a few milliseconds and no worker is started. */
const INLINE_LENGTH_MAX = 4 * BUFFER_BYTES
/** Bytes hashed between two pauses for other work on the event loop. */
const STEP_BYTES = 2 * BUFFER_BYTES
/** Runs of zeros from this length on are not read: the worker gets only their length. */
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
  /** Lets other work on the event loop go first. */
  readonly pause: () => Promise<void>
  readonly signal: AbortSignal
}

/** Returns the digest of all bytes of an image. Throws SliceUnreadable when a slice cannot be read, and the signal's reason when aborted. */
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
  if (!digest) throw new Error('the hash of an image is no digest')
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

/** Hashes the bytes of one image; `end` returns the hex of their SHA-256. */
interface DigestSink extends Disposable {
  write(piece: Uint8Array): Promise<void>
  /** Adds this many zeros. There are bytes between two calls, so the number of waiting orders is bounded by the buffers. */
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
  // When the sink is disposed before the end, a failure is not reported.
  ended.promise.catch(() => {})
  // Zeros are hashed for minutes: an abort must not wait for them.
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
