// Receiving whole slices, asking which are missing, reading, and gc.

import { expect } from 'bun:test'
import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { SliceUnreadable, StoreWriteFailed } from '../../../agent/contract/slices.ts'
import { sliceBytes } from '../../../agent/slices/packs/slice-bytes.ts'
import { createRandom } from '../../support/properties.ts'
import { digestsOf, store } from './case.ts'
import type { Case } from './case.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytes) as Uint8Array)
const noise = (seed: number, length: number): Buffer => createRandom(seed).bytes(length)
const raw = (bytes: Uint8Array): SliceFrame => ({ digest: sha256(bytes), length: bytes.byteLength, codec: 0, stored: bytes })
const compressed = (bytes: Uint8Array): SliceFrame => ({ ...raw(bytes), codec: 1, stored: Bun.zstdCompressSync(bytes) })

const TEXT = Buffer.from('a line that repeats itself\n'.repeat(200))
const NOISE = noise(1, 20_000)

export const RECEIVE_CASES: readonly Case[] = [
  {
    name: 'receives slices raw and compressed, and the same one again',
    async run(subject) {
      await using receiver = subject.slices.receive()
      const frames = [compressed(TEXT), raw(NOISE)]
      expect(receiver.pin(frames.map(({ digest }) => digest))).toEqual([0, 1])
      for (const frame of [...frames, ...frames]) await receiver.put(frame)
      await receiver.sync()
      expect(receiver.pin(frames.map(({ digest }) => digest))).toEqual([])
      const content = await subject.content(frames.map(({ digest, length }) => ({ digest, length })))
      expect(content.equals(Buffer.concat([TEXT, NOISE]))).toBe(true)
    },
  },
  {
    name: 'refuses bytes that are not those of the digest, and stores nothing of them',
    async run(subject) {
      await using receiver = subject.slices.receive()
      const whole = compressed(TEXT)
      const wrong: SliceFrame[] = [
        { ...raw(TEXT), digest: sha256(NOISE) },
        { ...raw(TEXT), length: TEXT.length - 1 },
        { ...raw(TEXT), codec: 7 },
        { ...whole, codec: 0 },
        { ...whole, stored: whole.stored.subarray(0, whole.stored.byteLength - 3) },
        { ...whole, length: TEXT.length + 1 },
      ]
      for (const frame of wrong) {
        const failure = await receiver.put(frame).catch((error: unknown) => error)
        expect(failure).toBeInstanceOf(SliceUnreadable)
        expect(failure).toMatchObject({ reason: 'corrupt' })
      }
      await receiver.sync()
      expect(subject.slices.missing([whole.digest, sha256(NOISE)])).toEqual([0, 1])
    },
  },
  {
    name: 'pins what it stored and what it found until it is disposed',
    async run(subject) {
      const entries = await store(subject, noise(2, 300_000))
      const receiver = subject.slices.receive()
      expect(receiver.pin(digestsOf(entries))).toEqual([])
      await receiver.put(raw(NOISE))
      await receiver.sync()
      expect(await subject.collect([])).toBe(0)
      await receiver[Symbol.asyncDispose]()
      expect(await subject.collect([])).toBe(digestsOf(entries).length + 1)
    },
  },
  {
    name: 'reports a slice of another length as missing',
    async run(subject) {
      await using receiver = subject.slices.receive()
      await receiver.put(raw(NOISE))
      const digests = [sha256(TEXT), sha256(NOISE), sha256(NOISE)]
      const lengths = [TEXT.length, NOISE.length, NOISE.length + 1]
      expect(subject.slices.missing(digests)).toEqual([0])
      expect(subject.slices.missing(digests, lengths)).toEqual([0, 2])
      expect(receiver.pin(digests, lengths)).toEqual([0, 2])
    },
  },
  {
    name: 'ends a transfer with StoreWriteFailed on a full disk; a new one works after that',
    async run(subject) {
      await using receiver = subject.slices.receive()
      subject.fillDisk()
      const failure = await receiver.put(raw(NOISE)).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(StoreWriteFailed)
      subject.emptyDisk()
      await expect(receiver.put(raw(TEXT))).rejects.toBeInstanceOf(StoreWriteFailed)
      await expect(receiver.sync()).rejects.toBeInstanceOf(StoreWriteFailed)
      await using again = subject.slices.receive()
      await again.put(raw(NOISE))
      await again.sync()
      expect(subject.slices.missing([sha256(NOISE)])).toEqual([])
    },
  },
]

export const GC_CASES: readonly Case[] = [
  {
    name: 'removes what neither a root nor a pin names, and nothing else',
    async run(subject) {
      const kept = await store(subject, noise(3, 400_000))
      const dropped = await store(subject, noise(4, 400_000))
      expect(await subject.collect(kept)).toBe(digestsOf(dropped).length)
      expect((await subject.content(kept)).equals(noise(3, 400_000))).toBe(true)
      expect(subject.slices.missing(digestsOf(dropped))).toHaveLength(digestsOf(dropped).length)
      expect((await subject.content(await store(subject, noise(4, 400_000)))).equals(noise(4, 400_000))).toBe(true)
    },
  },
  {
    name: 'predicts in a dry run what a run does, and counts slices and bytes',
    needs: 'maintenance',
    async run({ maintenance, ...subject }) {
      if (!maintenance) throw new Error('no maintenance')
      const entries = digestsOf(await store(subject, noise(5, 400_000)))
      expect(maintenance.stats().slices).toBe(entries.length)
      expect(maintenance.sizes([...entries, ...entries, sha256(TEXT)]).storedBytes).toBe(2 * maintenance.stats().storedBytes)
      const plan = await maintenance.gc({ dryRun: true })
      expect(maintenance.stats().slices).toBe(entries.length)
      expect(plan).toMatchObject({ dryRun: true, slicesDead: entries.length, slicesLive: 0 })
      const done = await maintenance.gc({ dryRun: false })
      expect({ ...done, dryRun: true }).toEqual(plan)
      expect(maintenance.stats()).toMatchObject({ slices: 0, storedBytes: 0 })
      await expect(maintenance.gc({ dryRun: false, without: new Set() })).rejects.toThrow(RangeError)
      expect(await maintenance.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
    },
  },
]

export const READ_CASES: readonly Case[] = [
  {
    name: 'reads any range of an image, in pieces of at most 1 MiB',
    needs: 'ranges',
    async run({ provider, ...subject }) {
      if (!provider) throw new Error('no provider')
      const bytes = Buffer.concat([noise(6, 900_000), Buffer.alloc(3_000_000), noise(7, 700_001)])
      const { manifest } = await encodeManifest(await store(subject, bytes))
      const random = createRandom(8)
      const ranges: [number, number][] = Array.from({ length: 20 }, () => {
        const start = random.below(bytes.length)
        return [start, start + random.below(bytes.length - start + 1)]
      })
      for (const [start, end] of [[0, bytes.length], [0, 0], [bytes.length, bytes.length], ...ranges] as [number, number][]) {
        const pieces: Buffer[] = []
        for await (const piece of provider.read(manifest, start, end)) pieces.push(Buffer.from(piece))
        expect(Math.max(0, ...pieces.map(({ length }) => length))).toBeLessThanOrEqual(1024 * 1024)
        expect(Buffer.concat(pieces).equals(bytes.subarray(start, end))).toBe(true)
      }
      const aborted = provider.read(manifest, 0, bytes.length, AbortSignal.abort(new Error('stopped')))
      await expect(Array.fromAsync(aborted)).rejects.toThrow('stopped')
    },
  },
  {
    name: 'throws SliceUnreadable for a slice that no pack has',
    needs: 'ranges',
    async run({ provider }) {
      if (!provider) throw new Error('no provider')
      const { manifest } = await encodeManifest([{ length: NOISE.length, digest: sha256(NOISE) }])
      const failure = await Array.fromAsync(provider.read(manifest, 0, NOISE.length)).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(SliceUnreadable)
      expect(failure).toMatchObject({ reason: 'missing' })
    },
  },
  {
    name: 'returns slices as stored, in the order asked for',
    needs: 'frames',
    async run({ provider, ...subject }) {
      if (!provider) throw new Error('no provider')
      const digests = digestsOf(await store(subject, Buffer.concat([noise(9, 500_000), Buffer.from('text '.repeat(100_000))]))).toReversed()
      const frames = await Array.fromAsync(provider.readStored(digests))
      expect(frames.map(({ digest }) => Buffer.from(digest).toString('hex'))).toEqual(digests.map((digest) => Buffer.from(digest).toString('hex')))
      for (const frame of frames) expect(Buffer.from(sha256(await sliceBytes(frame))).equals(Buffer.from(frame.digest))).toBe(true)
      await expect(Array.fromAsync(provider.readStored([sha256(TEXT)]))).rejects.toMatchObject({ reason: 'missing' })
    },
  },
]
