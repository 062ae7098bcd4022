// An agent that lies: its answers come from a real store, except for the one that it is told to falsify. Everything that copies from another
// store is tested against it.

import { zstdCompressSync } from 'node:zlib'
import { CODEC_ZSTD, decodeFrames, encodeAbsentFrame, encodeEndFrame, encodeFrameHeader, SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { decodeManifest, encodeManifest, MANIFEST_MEDIA_TYPE, manifestEntries } from '../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import type { ImageStore } from '../images/image-store.ts'
import { serveImages } from './image-server.ts'

/** What a copy asks another store for. */
type Question = 'image' | 'manifest' | 'slices'

/** The honest answers to the request that is being answered. */
interface Truth {
  answer(): Promise<Response>
  /** The same question about the other image. */
  aboutOther(): Promise<Response>
  /** How often this question was asked since the lie began, this time included. */
  readonly count: number
  entries(): Promise<ManifestEntry[]>
}

type Tell = (truth: Truth) => Promise<Response>

/** Answers with the image, some of its members changed. */
const image =
  (change: (image: Image, truth: Truth) => Partial<Image> | Promise<Partial<Image>>): Tell =>
  async (truth) => {
    const told = (await (await truth.answer()).json()) as Image
    return Response.json({ ...told, ...(await change(told, truth)) })
  }

/** Answers with a manifest that is valid by itself, made of other entries. */
const manifest =
  (change: (entries: ManifestEntry[]) => ManifestEntry[]): Tell =>
  async (truth) =>
    manifestAnswer((await encodeManifest(change(await truth.entries()))).manifest.bytes)

/** Answers with other bytes in place of those of the manifest. */
const manifestBytes =
  (change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Tell =>
  async (truth) =>
    manifestAnswer(change(new Uint8Array(await (await truth.answer()).arrayBuffer())))

/** Names a manifest of other entries in the image, and sends it: the lie is only in the entries. */
const entries = (change: (entries: ManifestEntry[]) => ManifestEntry[]): Partial<Record<Question, Tell>> => ({
  image: image(async (_image, truth) => {
    const forged = await encodeManifest(change(await truth.entries()))
    return { manifestDigest: forged.digest, length: forged.manifest.imageLength }
  }),
  manifest: manifest(change),
})

/** Answers with other bytes in place of the frames. */
const frames =
  (change: (frames: SliceFrame[]) => AsyncGenerator<Uint8Array> | Generator<Uint8Array>): Tell =>
  async (truth) => {
    const { body } = await truth.answer()
    const honest = body ? await Array.fromAsync(decodeFrames(body)) : []
    return new Response(streamOf(change(honest)), { headers: { 'content-type': SLICES_MEDIA_TYPE } })
  }

/** Every lie by its name: the answers that it falsifies. */
const LIES = {
  /** The image is the other one, with its own id. */
  'another-image': { image: (truth) => truth.aboutOther() },
  /** The image has the id of the other one. */
  'another-id': { image: image(async (_image, truth) => ({ id: ((await (await truth.aboutOther()).json()) as Image).id })) },
  /** The same id with other bytes: image, manifest and slices are those of the other image. */
  'other-bytes': {
    image: image(async ({ id, name }, truth) => ({ ...((await (await truth.aboutOther()).json()) as Image), id, name })),
    manifest: (truth) => truth.aboutOther(),
    slices: (truth) => truth.aboutOther(),
  },
  /** The image has changed since it was asked for: its manifest is the one of the other image. */
  'changed-since': { manifest: (truth) => truth.aboutOther() },
  /** The manifest changes from one request to the next. */
  'changes-again': { manifest: (truth) => (truth.count % 2 === 1 ? garbled(truth) : truth.aboutOther()) },
  'wrong-manifest-digest': { image: image(() => ({ manifestDigest: `sha256:${'0'.repeat(64)}` })) },
  'wrong-length': { image: image(({ length }) => ({ length: length + 1 })) },
  'no-manifest-digest': { image: image(() => ({ manifestDigest: null })) },

  'manifest-damaged': { manifest: (truth) => garbled(truth) },
  'manifest-shorter': { manifest: manifest((all) => all.slice(0, -1)) },
  'manifest-longer': { manifest: manifest((all) => [...all, ...all.slice(0, 1)]) },
  'manifest-empty': { manifest: manifestBytes(() => new Uint8Array(0)) },
  'manifest-cut': { manifest: manifestBytes((bytes) => bytes.slice(0, bytes.byteLength >> 1)) },
  'manifest-goes-on': { manifest: manifestBytes((bytes) => new Uint8Array(Buffer.concat([bytes, bytes.subarray(0, 1)]))) },
  'manifest-endless': { manifest: manifestBytes((bytes) => streamOf(endlessly(bytes))) },
  /** The header announces the most entries that there may be, and bytes follow without end. */
  'manifest-huge': { manifest: manifestBytes((bytes) => streamOf(hugely(bytes))) },
  /** The manifest is at another address. */
  'manifest-redirect': { manifest: async () => redirect() },
  'manifest-slow': { manifest: manifestBytes((bytes) => streamOf(slowly(bytes))) },
  /** Names a manifest whose slices are shorter than the bytes of their digests, and sends it. */
  'entries-shorter': entries((all) => all.map((entry) => ({ ...entry, length: entry.length - 4096 }))),
  'entries-longer': entries((all) => all.map((entry) => ({ ...entry, length: entry.length + 4096 }))),
  'entry-longer': entries((all) => all.map((entry, i) => ({ ...entry, length: entry.length + (i === 3 ? 512 : 0) }))),

  /** The right digest with other bytes. */
  'slice-bytes': { slices: frames((all) => encoded(all.map((frame) => ({ ...frame, stored: flipped(frame.stored) })))) },
  /** A slice that is what it says, and that was not asked for; it has the length of the slice that was. */
  'slice-unasked': { slices: frames((all) => encoded(all.map(unasked))) },
  'slice-unasked-between': { slices: frames((all) => encoded([...all.slice(0, 2), ...all.slice(2, 3).map(unasked), ...all.slice(3)])) },
  'slice-longer': { slices: frames((all) => encoded(all.map((frame) => ({ ...frame, length: frame.length + 1 })))) },
  'slice-shorter': { slices: frames((all) => encoded(all.map((frame) => ({ ...frame, length: frame.length - 1 })))) },
  'slice-codec': { slices: frames((all) => encoded(all.map((frame) => ({ ...frame, codec: 7 })))) },
  /** Bytes that expand to far more than the length of the slice, in many small frames. */
  'slice-bomb': { slices: frames((all) => encoded(all.map(bomb))) },
  /** A zstd frame (RFC 8878 §3.1.1.1.2) whose window is 2 TiB, so that a decoder would reserve it. */
  'slice-window': { slices: frames((all) => encoded(all.map((frame) => ({ ...frame, codec: CODEC_ZSTD, stored: WINDOW_FRAME })))) },
  /** The slices that were asked for, in another order. */
  'slices-reversed': { slices: frames((all) => encoded(all.toReversed())) },
  /** The last slice is missing, and the end frame is there. */
  'slices-short': { slices: frames((all) => encoded(all.slice(0, -1))) },
  'slices-none': { slices: frames(() => encoded([])) },
  /** One slice follows those that were asked for. */
  'slices-long': { slices: frames((all) => encoded([...all, ...all.slice(0, 1).map(unasked)])) },
  /** No end frame. */
  'slices-cut': { slices: frames((all) => cut(encoded(all))) },
  'slices-cut-in-slice': { slices: frames((all) => encoded(all.slice(0, 1), (bytes) => bytes.subarray(0, bytes.byteLength >> 1))) },
  /** The first slice over and over. */
  'slices-endless': { slices: frames((all) => repeated(all.slice(0, 1))) },
  /** The slices are at another address. */
  'slices-redirect': { slices: async () => redirect() },
  /** The source has none of the slices of its own image. */
  'slices-absent': { slices: frames((all) => absent(all)) },
  /** The source does not have a slice that was not asked for. */
  'absent-unasked': { slices: frames((all) => absent(all.map(unasked))) },
  'slices-slow': { slices: frames((all) => slowly(Buffer.concat([...encoded(all)]))) },
} as const satisfies Record<string, Partial<Record<Question, Tell>>>

export type Lie = keyof typeof LIES
export const LIE_NAMES = Object.keys(LIES) as Lie[]

export interface LyingPeer extends AsyncDisposable {
  readonly url: string
  /** Answers that were falsified since the present lie began. */
  readonly told: number
  /** Lies in this way from now on; undefined: answers honestly. */
  lie(lie: Lie | undefined): void
}

/** Starts a peer over the images of a store. `other`: id of an image of it, whose answers some lies give in place of the right ones. */
export async function openLyingPeer(store: ImageStore, other: string): Promise<LyingPeer> {
  const honest = await serveImages(store)
  let lie: Lie | undefined
  let told = 0
  const counts = new Map<Question, number>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url)
      const body = await request.text()
      const ask = (path: string, text: string): Promise<Response> =>
        fetch(honest.url + path, {
          method: request.method,
          headers: { authorization: request.headers.get('authorization') ?? '', 'content-type': request.headers.get('content-type') ?? '' },
          ...(text === '' ? {} : { body: text }),
        })
      const question = questionOf(pathname)
      const tell: Tell | undefined = lie && question && (LIES[lie] as Partial<Record<Question, Tell>>)[question]
      if (!question || !tell) return ask(pathname, body)
      told++
      counts.set(question, (counts.get(question) ?? 0) + 1)
      const named = /\/images\/([^/]+)/.exec(pathname)?.[1]
      return tell({
        answer: () => ask(pathname, body),
        aboutOther: () => (named === undefined ? ask(pathname, withImage(body, other)) : ask(pathname.replace(named, other), body)),
        count: counts.get(question) ?? 0,
        async entries() {
          const answer = await ask(`/v1/images/${named}/manifest`, '')
          return [...manifestEntries((await decodeManifest(new Uint8Array(await answer.arrayBuffer()))).manifest)]
        },
      })
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    get told() {
      return told
    },
    lie(next) {
      lie = next
      told = 0
      counts.clear()
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true)
      await honest[Symbol.asyncDispose]()
    },
  }
}

function questionOf(pathname: string): Question | undefined {
  if (/^\/v1\/images\/[^/]+$/.test(pathname)) return 'image'
  if (/^\/v1\/images\/[^/]+\/manifest$/.test(pathname)) return 'manifest'
  return pathname === '/v1/slices/fetch' ? 'slices' : undefined
}

function withImage(body: string, id: string): string {
  return JSON.stringify({ ...(JSON.parse(body) as object), image: id })
}

function manifestAnswer(bytes: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>): Response {
  return new Response(bytes, { headers: { 'content-type': MANIFEST_MEDIA_TYPE } })
}

/** The manifest with one bit of an entry changed. */
async function garbled(truth: Truth): Promise<Response> {
  return manifestAnswer(flipped(new Uint8Array(await (await truth.answer()).arrayBuffer())))
}

function flipped(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(bytes)
  const at = other.byteLength >> 1
  other[at] = (other[at] ?? 0) ^ 1
  return other
}

/** A slice of the same length with another content, under the digest of that content. */
function unasked({ length }: SliceFrame): SliceFrame {
  const stored = new Uint8Array(length).fill(0x5a)
  return { digest: new Uint8Array(new Bun.SHA256().update(stored).digest().buffer), length, codec: 0, stored }
}

const BOMB = zstdCompressSync(new Uint8Array(4 * 1024 * 1024))
/** Magic number, no content size, window exponent 31, and the header of a last raw block of one byte. */
const WINDOW_FRAME = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x09, 0x00, 0x00, 0x33)

/** A slice that is shorter than its length as it is sent, and up to 30,000 times longer when it is decompressed. */
function bomb(frame: SliceFrame): SliceFrame {
  const count = Math.max(1, Math.floor((frame.length - 1) / BOMB.byteLength))
  return { ...frame, codec: CODEC_ZSTD, stored: new Uint8Array(Buffer.concat(Array.from({ length: count }, () => BOMB))) }
}

/** The bytes of frames and of the end frame; `change` changes those of each frame. */
function* encoded(all: readonly SliceFrame[], change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes): Generator<Uint8Array> {
  for (const frame of all) yield change(Buffer.concat([encodeFrameHeader(frame), frame.stored]))
  yield encodeEndFrame()
}

function* absent(all: readonly SliceFrame[]): Generator<Uint8Array> {
  for (const { digest } of all) yield encodeAbsentFrame(digest)
  yield encodeEndFrame()
}

/** Leads to an address at which nothing may be asked. */
function redirect(): Response {
  return new Response(null, { status: 307, headers: { location: 'http://127.0.0.1:9/v1/store' } })
}

function* cut(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield* [...pieces].slice(0, -1)
}

function* repeated(all: readonly SliceFrame[]): Generator<Uint8Array> {
  for (;;) yield* cut(encoded(all))
}

/** A valid header with the most entries, then the entries of the manifest over and over. */
function* hugely(bytes: Uint8Array): Generator<Uint8Array> {
  const header = Buffer.from(bytes.slice(0, 32))
  header.writeBigUInt64LE(53_687_089n, 12)
  yield header
  for (;;) yield bytes.slice(32, -32)
}

function* endlessly(bytes: Uint8Array): Generator<Uint8Array> {
  for (;;) yield bytes
}

async function* slowly(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at++) {
    yield bytes.subarray(at, at + 1)
    await Bun.sleep(20)
  }
}

/** A body that is made only as fast as it is read, and no longer than that. */
function streamOf(pieces: AsyncGenerator<Uint8Array> | Generator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await pieces.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}
