// A source of syncs that lies about each of its images in another way: with answers that break HTTP, or with content that is wrong. What it is not told
// to falsify comes from a real store.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { serveImages } from '../support/agents/image-server.ts'
import { openLyingPeer } from '../support/agents/lying-peer.ts'
import type { Lie } from '../support/agents/lying-peer.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { WIRE_LIES } from './wire-lies.ts'
import type { WireLie } from './wire-lies.ts'

/** Length of an image of the source in bytes. */
export const SOURCE_IMAGE_BYTES = 600_000

/** A request that a lie falsifies. */
export type Asked = 'store' | 'image' | 'manifest' | 'slices'

/** A falsehood about one image: content that is wrong, or an answer of the wire to one kind of request. */
export type SourceLie = { readonly content: Lie } | { readonly wire: WireLie; readonly to: Asked }

export interface LyingSource extends AsyncDisposable {
  /** A request below `url/N` gets the lie N; one below the URL itself gets that of the image that it names. */
  readonly url: string
  /** Ids of the images, in the order of the lies. */
  readonly images: readonly string[]
  /** How often each lie was told, in the same order. */
  readonly told: readonly number[]
}

/** Starts a source. Tokens are the names of roles. `imageOf` returns the bytes of the image for each lie. */
export async function startLyingSource(lies: readonly SourceLie[], imageOf: (i: number) => Uint8Array = randomImage): Promise<LyingSource> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const store = stack.use(await openImageStore(folder))
  const honest = stack.use(await serveImages(store))
  const images: string[] = []
  for (const i of lies.keys()) images.push((await store.add(imageOf(i), { name: `image-${i}` })).id)
  const told = lies.map(() => 0)
  const peers = await Promise.all(
    lies.map(async (lie, i) => {
      if (!('content' in lie)) return undefined
      const peer = stack.use(await openLyingPeer(store, images[(i + 1) % images.length] ?? ''))
      peer.lie(lie.content)
      return peer
    }),
  )

  const answer = (socket: Socket, request: Buffer): void => {
    const full = request.toString('latin1')
    const place = /^\w+ \/(\d+)\//.exec(full)?.[1]
    const at = place === undefined ? images.indexOf(/img_[0-9a-z]{26}/.exec(full)?.[0] ?? '') : Number(place)
    const text = full.replace(/^(\w+ )\/\d+/, '$1')
    const lie = lies[at]
    if (lie && 'wire' in lie && lie.to === askedBy(text)) {
      told[at] = (told[at] ?? 0) + 1
      return WIRE_LIES[lie.wire](socket)
    }
    const port = Number(new URL(peers[at]?.url ?? honest.url).port)
    const through = connect(port, '127.0.0.1')
    through.on('error', () => socket.destroy())
    through.on('close', () => socket.destroySoon())
    socket.on('close', () => through.destroy())
    // One request for each connection, because the next one may be about another image.
    through.write(closing(text), 'latin1')
    through.once('data', (first) => {
      socket.write(closing(first.toString('latin1')), 'latin1')
      through.pipe(socket)
    })
  }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    let received = Buffer.alloc(0)
    const collect = (piece: Buffer): void => {
      received = Buffer.concat([received, piece])
      const head = received.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(received.toString('latin1', 0, head + 4))?.[1] ?? 0)
      if (received.length < head + 4 + length) return
      socket.off('data', collect)
      answer(socket, received)
    }
    socket.on('data', collect)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  stack.defer(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const owned = stack.move()
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    images,
    get told() {
      return told.map((count, i) => count + (peers[i]?.told ?? 0))
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function randomImage(i: number): Uint8Array {
  return seededBytes(SOURCE_IMAGE_BYTES, i + 1)
}

/** Returns a message, or its begin, as the last one of its connection (RFC 9112 §9.6). */
function closing(message: string): string {
  return message.replace(/\r\nconnection: [^\r]*/i, '').replace('\r\n', '\r\nConnection: close\r\n')
}

function askedBy(text: string): Asked | undefined {
  const path = /^\w+ (\S+)/.exec(text)?.[1] ?? ''
  if (path === '/v1/store') return 'store'
  if (path.startsWith('/v1/slices/')) return 'slices'
  if (path.endsWith('/manifest')) return 'manifest'
  return path.startsWith('/v1/images/') ? 'image' : undefined
}
