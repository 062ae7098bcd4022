// Ingest: entries, checkpoints, pins and failures.

import { expect } from 'bun:test'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { StoreWriteFailed } from '../../../agent/contract/slices.ts'
import { createRandom } from '../../support/properties.ts'
import { BLOCK_BYTES, digestsOf, lengthOf, START, store } from './case.ts'
import type { Case } from './case.ts'

const noise = (seed: number, length: number): Buffer => createRandom(seed).bytes(length)

export const INGEST_CASES: readonly Case[] = [
  {
    name: 'returns entries that cover every byte in image order, and none for an empty image',
    async run(subject) {
      const bytes = Buffer.concat([noise(1, 700_000), Buffer.alloc(300_000), noise(2, 123_457)])
      const entries = await store(subject, bytes)
      expect(lengthOf(entries)).toBe(bytes.length)
      expect((await subject.content(entries)).equals(bytes)).toBe(true)
      expect(await store(subject, Buffer.alloc(0))).toEqual([])
    },
  },
  {
    name: 'describes zeros without a slice',
    async run(subject) {
      const entries = await store(subject, Buffer.alloc(4 * 1024 * 1024))
      expect(digestsOf(entries)).toEqual([])
      expect(lengthOf(entries)).toBe(4 * 1024 * 1024)
    },
  },
  {
    name: 'stores equal content once',
    async run(subject) {
      const bytes = noise(3, 900_000)
      const entries = await store(subject, bytes)
      await using ingest = subject.slices.ingest(START)
      await ingest.write(bytes)
      const repeat = await ingest.finish()
      repeat.release()
      expect(repeat.storedBytes).toBe(0)
      expect(repeat.entries).toEqual(entries)
    },
  },
  {
    name: 'can be resumed from every checkpoint: entries end at a block, and the tail has the rest',
    async run(subject) {
      const bytes = noise(4, 1_300_001)
      await using ingest = subject.slices.ingest(START)
      const before: ManifestEntry[] = []
      for (let at = 0; at < bytes.length; at += 333_333) {
        await ingest.write(bytes.subarray(at, at + 333_333))
        const { entries, tail, release } = await ingest.checkpoint()
        before.push(...entries)
        const offset = lengthOf(before)
        expect(offset % BLOCK_BYTES).toBe(0)
        expect(Buffer.from(tail).equals(bytes.subarray(offset, Math.min(bytes.length, at + 333_333)))).toBe(true)
        await using rest = subject.slices.ingest({ offset, tail: new Uint8Array(tail) })
        await rest.write(bytes.subarray(at + 333_333))
        const end = await rest.finish()
        expect(end.tail.byteLength).toBe(0)
        expect((await subject.content([...before, ...end.entries])).equals(bytes)).toBe(true)
        end.release()
        release()
      }
    },
  },
  {
    name: 'resolves checkpoints in order; bytes written after a call belong to the next one',
    async run(subject) {
      const bytes = noise(5, 800_000)
      await using ingest = subject.slices.ingest(START)
      await ingest.write(bytes.subarray(0, 400_000))
      const order: number[] = []
      const first = ingest.checkpoint().then((checkpoint) => (order.push(1), checkpoint))
      const written = ingest.write(bytes.subarray(400_000))
      const second = ingest.checkpoint().then((checkpoint) => (order.push(2), checkpoint))
      const last = ingest.finish().then((checkpoint) => (order.push(3), checkpoint))
      const [a, b, c] = await Promise.all([first, second, last, written])
      expect(order).toEqual([1, 2, 3])
      expect(lengthOf(a.entries) + a.tail.byteLength).toBe(400_000)
      const entries = [a, b, c].flatMap((checkpoint) => checkpoint.entries)
      expect((await subject.content(entries)).equals(bytes)).toBe(true)
      for (const { release } of [a, b, c]) release()
    },
  },
  {
    name: 'pins the slices of a checkpoint until it is released',
    async run(subject) {
      await using ingest = subject.slices.ingest(START)
      await ingest.write(noise(6, 500_000))
      const { entries, release } = await ingest.finish()
      expect(await subject.collect([])).toBe(0)
      expect((await subject.content(entries)).equals(noise(6, 500_000))).toBe(true)
      release()
      expect(await subject.collect([])).toBe(digestsOf(entries).length)
      expect(subject.slices.missing(digestsOf(entries))).toHaveLength(digestsOf(entries).length)
    },
  },
  {
    name: 'pins slices that it finds stored already',
    async run(subject) {
      const bytes = noise(7, 500_000)
      const entries = await store(subject, bytes)
      await using ingest = subject.slices.ingest(START)
      await ingest.write(bytes)
      const { release } = await ingest.finish()
      expect(await subject.collect([])).toBe(0)
      release()
      expect(await subject.collect([])).toBe(digestsOf(entries).length)
    },
  },
  {
    name: 'releases everything when it is disposed, checkpoints included',
    async run(subject) {
      const ingest = subject.slices.ingest(START)
      await ingest.write(noise(8, 500_000))
      const { entries } = await ingest.checkpoint()
      await ingest.write(noise(9, 300_000))
      await ingest[Symbol.asyncDispose]()
      await ingest[Symbol.asyncDispose]()
      expect(await subject.collect([])).toBeGreaterThanOrEqual(digestsOf(entries).length)
      expect(subject.slices.missing(digestsOf(entries))).toHaveLength(digestsOf(entries).length)
    },
  },
  {
    name: 'refuses an offset inside a block, and bytes after finish or disposal',
    async run(subject) {
      expect(() => subject.slices.ingest({ offset: 100, tail: new Uint8Array(0) })).toThrow(RangeError)
      const ingest = subject.slices.ingest(START)
      ;(await ingest.finish()).release()
      await expect(ingest.write(Buffer.alloc(10))).rejects.toThrow()
      await ingest[Symbol.asyncDispose]()
      const disposed = subject.slices.ingest(START)
      await disposed[Symbol.asyncDispose]()
      await expect(disposed.write(Buffer.alloc(10))).rejects.toThrow()
    },
  },
  {
    name: 'ends with StoreWriteFailed on a full disk; earlier checkpoints stay valid, and a new ingest works after that',
    async run(subject) {
      await using ingest = subject.slices.ingest(START)
      await ingest.write(noise(10, 600_000))
      const kept = await ingest.checkpoint()
      subject.fillDisk()
      const failure = await (async () => {
        await ingest.write(noise(11, 600_000))
        await ingest.checkpoint()
      })().catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(StoreWriteFailed)
      expect(failure).toMatchObject({ cause: { code: 'ENOSPC' } })
      await expect(ingest.write(noise(12, 10))).rejects.toBeInstanceOf(StoreWriteFailed)
      await expect(ingest.checkpoint()).rejects.toBeInstanceOf(StoreWriteFailed)
      subject.emptyDisk()
      expect((await subject.content(kept.entries)).equals(noise(10, 600_000).subarray(0, lengthOf(kept.entries)))).toBe(true)
      kept.release()
      expect((await subject.content(await store(subject, noise(11, 600_000)))).equals(noise(11, 600_000))).toBe(true)
    },
  },
  {
    name: 'stores content that several ingests bring at once',
    async run(subject) {
      const shared = noise(13, 64 * BLOCK_BYTES)
      const images = [0, 1, 2].map((i) => Buffer.concat([shared, noise(20 + i, 16 * BLOCK_BYTES), shared]))
      const stored = await Promise.all(images.map((bytes) => store(subject, bytes)))
      for (const [i, entries] of stored.entries()) expect((await subject.content(entries)).equals(images[i] ?? Buffer.alloc(0))).toBe(true)
    },
  },
]
