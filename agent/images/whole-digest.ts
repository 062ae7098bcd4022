// SHA-256 of a whole image, as `sha256sum` gives it: all bytes read back from the slices, the zeros too, hashed in a worker.

import { parseDigest } from '../../protocol/digest.ts'
import type { Digest } from '../../protocol/digest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { SliceProvider } from '../contract/slices.ts'

const BUFFER_BYTES = 1024 * 1024
/** Buffers under way to the worker and back. */
const BUFFERS_MAX = 4
/** Up to this length hashing takes a few milliseconds and no worker is started. */
const INLINE_LENGTH_MAX = 4 * BUFFER_BYTES

export type DigestOrder = { readonly kind: 'piece'; readonly buffer: ArrayBuffer; readonly length: number } | { readonly kind: 'end' }
export type DigestAnswer = { readonly kind: 'taken'; readonly buffer: ArrayBuffer } | { readonly kind: 'digest'; readonly hex: string }

/** Throws SliceUnreadable when a slice cannot be had, and the signal's reason when aborted. */
export async function computeWholeDigest(slices: SliceProvider, manifest: Manifest, signal: AbortSignal): Promise<Digest> {
  using sink = manifest.imageLength <= INLINE_LENGTH_MAX ? openInlineSink() : openWorkerSink()
  for await (const piece of slices.read(manifest, 0, manifest.imageLength, signal)) await sink.write(piece)
  signal.throwIfAborted()
  const digest = parseDigest(`sha256:${await sink.end()}`)
  if (!digest) throw new Error('the hash of an image is no digest')
  return digest
}

/** Takes the bytes of one image and gives the hex of their SHA-256. */
interface DigestSink extends Disposable {
  write(piece: Uint8Array): Promise<void>
  end(): Promise<string>
}

function openInlineSink(): DigestSink {
  const hash = new Bun.CryptoHasher('sha256')
  return {
    async write(piece) {
      hash.update(piece)
    },
    end: async () => hash.digest('hex'),
    [Symbol.dispose]: () => {},
  }
}

function openWorkerSink(): DigestSink {
  const worker = new Worker(new URL('./digest-worker.ts', import.meta.url).href)
  const free: ArrayBuffer[] = []
  let made = 0
  let whenFree: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<string>()
  // Somebody may leave before the end: a failure then is nobody's news.
  ended.promise.catch(() => {})
  const send = (order: DigestOrder, transfer: ArrayBuffer[] = []): void => worker.postMessage(order, transfer)

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
  return {
    async write(piece) {
      for (let at = 0; at < piece.byteLength; at += BUFFER_BYTES) {
        const buffer = await takeBuffer()
        const part = piece.subarray(at, at + BUFFER_BYTES)
        new Uint8Array(buffer).set(part)
        send({ kind: 'piece', buffer, length: part.byteLength }, [buffer])
      }
    },
    end() {
      send({ kind: 'end' })
      return ended.promise
    },
    [Symbol.dispose]: () => worker.terminate(),
  }
}
