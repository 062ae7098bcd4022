// Hashes the bytes of one image: a short image on the event loop, a long one in a worker, so that the event loop stays free.

import { updateWithZeros } from './zeros.ts'

export const BUFFER_BYTES = 1024 * 1024
/** Maximum number of buffers, which are transferred to the worker and back. */
const BUFFERS_MAX = 4

export type DigestRequest =
  /** No client waits for this digest: other work has priority. */
  | { readonly kind: 'background' }
  | { readonly kind: 'piece'; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number }
  | { readonly kind: 'end' }
export type DigestReply = { readonly kind: 'hashed'; readonly buffer: ArrayBuffer } | { readonly kind: 'digest'; readonly hex: string }

/** Hashes the bytes of one image in order. */
export interface DigestSink extends Disposable {
  write(piece: Uint8Array): Promise<void>
  /** Hashes this many zeros. Callers write bytes between two calls, so the number of buffers bounds the number of pending messages. */
  zeros(length: number): void
  /** Returns the SHA-256 of all bytes as hex. */
  end(): Promise<string>
}

/** Opens a sink that hashes on the event loop. */
export function openInlineSink(): DigestSink {
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

/** Opens a sink that hashes in a worker. An abort rejects pending calls with the signal's reason. */
export function openWorkerSink(isAwaited: boolean, signal: AbortSignal): DigestSink {
  const worker = startDigestWorker(signal)
  if (!isAwaited) worker.send({ kind: 'background' })
  let current: { readonly buffer: ArrayBuffer; filled: number } | undefined
  const flush = (): void => {
    if (current) worker.send({ kind: 'piece', buffer: current.buffer, length: current.filled }, [current.buffer])
    current = undefined
  }
  return {
    async write(piece) {
      for (let at = 0; at < piece.byteLength;) {
        current ??= { buffer: await worker.acquireBuffer(), filled: 0 }
        const part = piece.subarray(at, at + BUFFER_BYTES - current.filled)
        new Uint8Array(current.buffer).set(part, current.filled)
        current.filled += part.byteLength
        at += part.byteLength
        if (current.filled === BUFFER_BYTES) flush()
      }
    },
    zeros(length) {
      flush()
      worker.send({ kind: 'zeros', length })
    },
    end() {
      flush()
      worker.send({ kind: 'end' })
      return worker.digest
    },
    [Symbol.dispose]: () => worker[Symbol.dispose](),
  }
}

/** A worker that hashes one image, and the buffers shared with it. Disposing terminates the worker. */
interface DigestWorker extends Disposable {
  send(request: DigestRequest, transfer?: ArrayBuffer[]): void
  /** Returns an unused buffer. Waits while the worker has all of them. */
  acquireBuffer(): Promise<ArrayBuffer>
  /** Resolves with the hex of the SHA-256 after `end`. Rejects if the worker fails or the signal aborts. */
  readonly digest: Promise<string>
}

function startDigestWorker(signal: AbortSignal): DigestWorker {
  const worker = new Worker(new URL('./digest-worker.ts', import.meta.url).href)
  const free: ArrayBuffer[] = []
  let created = 0
  let whenFree: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<string>()
  // Prevents an unhandled rejection if the sink is disposed before `end`.
  ended.promise.catch(() => {})
  const fail = (error: unknown): void => {
    ended.reject(error)
    whenFree?.reject(error)
  }
  // Hashing zeros can take minutes, so an abort does not wait for the worker.
  const onAbort = (): void => fail(signal.reason)
  signal.addEventListener('abort', onAbort)
  worker.addEventListener('message', (event: MessageEvent<DigestReply>) => {
    const reply = event.data
    if (reply.kind === 'digest') return ended.resolve(reply.hex)
    free.push(reply.buffer)
    whenFree?.resolve()
  })
  worker.addEventListener('error', (event) => fail(new Error(`the digest worker failed: ${event.message}`)))

  return {
    digest: ended.promise,
    send: (request, transfer = []) => worker.postMessage(request, transfer),
    async acquireBuffer() {
      for (;;) {
        const buffer = free.pop()
        if (buffer) return buffer
        if (created < BUFFERS_MAX) {
          created++
          return new ArrayBuffer(BUFFER_BYTES)
        }
        whenFree = Promise.withResolvers()
        await Promise.race([whenFree.promise, ended.promise])
      }
    },
    [Symbol.dispose]() {
      signal.removeEventListener('abort', onAbort)
      worker.terminate()
    },
  }
}
