// Uploads whose bodies cost the most for the fewest bytes.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { zstdCompressSync } from 'node:zlib'
import { CODEC_ZSTD, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame, SLICES_MEDIA_TYPE } from '../../protocol/slices/frames.ts'
import { expectHarmless } from './expect-harmless.ts'
import { connectRaw, createUpload, patchUpload, removeUpload, requestHead } from './requests.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Frames of 48 bytes in one body. */
const NAMES = 4_000
/** Chunks of one byte in one body. */
const CHUNKS = 32 * KIB
const SLICES = { 'content-type': SLICES_MEDIA_TYPE }

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts))
}

function digestOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(new Bun.SHA256().update(bytes).digest().buffer)
}

describe('an upload', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget('[transfer]\nupload-concurrency = 8\n')
  })
  afterAll(() => target[Symbol.asyncDispose]())

  /** Creates an upload of this length, runs, and removes it. */
  const withUpload = async (attacker: Attacker, length: number, run: (address: string) => Promise<void>): Promise<void> => {
    const { status, address } = await createUpload(attacker, { 'upload-length': String(length) })
    expect(status).toBe(201)
    await run(address)
    await removeUpload(attacker, address)
  }

  test('with the longest metadata', async () => {
    const metadata = Array.from({ length: 60 }, (_, i) => `k${i} ${btoa('v'.repeat(120))}`).join(',')
    await expectHarmless(target, 'upload creation', async (attacker) => {
      const { status, address } = await createUpload(attacker, { 'upload-length': '1', 'upload-metadata': metadata })
      expect(status).toBe(201)
      await removeUpload(attacker, address)
      const tooLong = await createUpload(attacker, { 'upload-length': '1', 'upload-metadata': `name ${btoa('n'.repeat(10_000))}` })
      expect([400, 431]).toContain(tooLong.status)
    })
  })

  test('in chunks of one byte', async () => {
    const chunks = '1\r\nx\r\n'.repeat(CHUNKS)
    await expectHarmless(target, 'upload bytes', (attacker) =>
      withUpload(attacker, CHUNKS, async (address) => {
        using connection = await connectRaw(attacker.url)
        const headers = attacker.headers('uploader', {
          'Tus-Resumable': '1.0.0',
          'Upload-Offset': '0',
          'Content-Type': 'application/offset+octet-stream',
          'Transfer-Encoding': 'chunked',
          Connection: 'close',
        })
        await connection.write(requestHead(`PATCH ${new URL(address).pathname}`, headers))
        await connection.write(chunks)
        await connection.write('0\r\n\r\n')
        while (connection.received() === 0 && !connection.isClosed()) await Bun.sleep(5)
      }),
    )
  })

  test('of endless zeros', async () => {
    const zeros = new Uint8Array(32 * MIB)
    const report = await expectHarmless(target, 'upload bytes', (attacker) =>
      withUpload(attacker, zeros.byteLength, async (address) => {
        expect(await patchUpload(attacker, address, 0, zeros)).toBe(204)
      }),
    )
    expect(report.diskBytes).toBeLessThan(128 * MIB)
  })

  test('in which each block is a slice of its own', async () => {
    // Random blocks between zero blocks: each block of zeros ends the slice before it.
    const body = new Uint8Array(16 * MIB)
    for (let at = 0; at < body.byteLength; at += 8 * KIB) crypto.getRandomValues(body.subarray(at, at + 4 * KIB))
    await expectHarmless(target, 'upload bytes', (attacker) =>
      withUpload(attacker, body.byteLength, async (address) => {
        expect(await patchUpload(attacker, address, 0, body)).toBe(204)
      }),
    )
  })

  test('of slices that expand to far more than their declared length', async () => {
    const block = new Uint8Array(128 * KIB).fill(7)
    const bomb = zstdCompressSync(new Uint8Array(4 * MIB).fill(7))
    const stored = join(...Array.from({ length: Math.floor((120 * KIB) / bomb.byteLength) }, () => bomb))
    const frame = { digest: digestOf(block), length: 128 * KIB, codec: CODEC_ZSTD, stored }
    const body = join(...Array.from({ length: 8 }, () => join(encodeFrameHeader(frame), stored)), encodeEndFrame())
    await expectHarmless(target, 'upload slices', (attacker) =>
      withUpload(attacker, 16 * MIB, async (address) => {
        expect([0, 400, 409, 422]).toContain(await patchUpload(attacker, address, 0, body, SLICES))
      }),
    )
  })

  test('of references to one slice, as many as fit into 200 kB', async () => {
    const block = new Uint8Array(4 * KIB).fill(9)
    const digest = digestOf(block)
    const first = join(encodeFrameHeader({ digest, length: 4 * KIB, codec: 0, stored: block }), block)
    const names = new Uint8Array(NAMES * 48)
    const name = encodeReferenceFrame(digest, 4 * KIB)
    for (let at = 0; at < names.byteLength; at += 48) names.set(name, at)
    const body = join(first, names, encodeEndFrame())
    await expectHarmless(target, 'upload slices', (attacker) =>
      withUpload(attacker, (NAMES + 1) * 4 * KIB, async (address) => {
        expect(await patchUpload(attacker, address, 0, body, SLICES)).toBeLessThan(500)
      }),
    )
  })

  test('of runs of zeros, as many as fit into 200 kB', async () => {
    const zeros = new Uint8Array(NAMES * 48)
    const run = encodeReferenceFrame(null, 4 * KIB)
    for (let at = 0; at < zeros.byteLength; at += 48) zeros.set(run, at)
    await expectHarmless(target, 'upload slices', (attacker) =>
      withUpload(attacker, NAMES * 4 * KIB, async (address) => {
        expect(await patchUpload(attacker, address, 0, join(zeros, encodeEndFrame()), SLICES)).toBeLessThan(500)
      }),
    )
  })
})

describe('a concatenation', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('of one part with many slices, named as often as fits into a header', async () => {
    const block = new Uint8Array(4 * KIB).fill(11)
    const digest = digestOf(block)
    const first = join(encodeFrameHeader({ digest, length: 4 * KIB, codec: 0, stored: block }), block)
    const names = new Uint8Array((NAMES - 1) * 48)
    const name = encodeReferenceFrame(digest, 4 * KIB)
    for (let at = 0; at < names.byteLength; at += 48) names.set(name, at)
    const body = join(first, names, encodeEndFrame())
    const parts = new Map<number, string>()
    const report = await expectHarmless(target, 'concatenation', async (attacker) => {
      let part = parts.get(attacker.index)
      if (part === undefined) {
        const created = await createUpload(attacker, { 'upload-length': String(NAMES * 4 * KIB), 'upload-concat': 'partial' })
        expect(created.status).toBe(201)
        expect(await patchUpload(attacker, created.address, 0, body, SLICES)).toBe(204)
        part = new URL(created.address).pathname
        parts.set(attacker.index, part)
      }
      const final = await createUpload(attacker, { 'upload-concat': `final;${Array.from({ length: 350 }, () => part).join(' ')}` })
      expect([400, 413, 429, 507]).toContain(final.status)
    })
    expect(report.diskBytes).toBeLessThan(512 * MIB)
  })
})
