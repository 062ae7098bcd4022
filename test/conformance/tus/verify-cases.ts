// Rows 28 to 32: checksum and concatenation.

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { expectHeader, expectStatus, expectThat, OFFSET_TYPE, sampleBytes } from './suite.ts'
import type { Case, Target } from './suite.ts'

function checksum(algorithm: string, bytes: Uint8Array): string {
  if (algorithm !== 'crc32') return `${algorithm} ${createHash(algorithm).update(bytes).digest('base64')}`
  const value = Buffer.alloc(4)
  value.writeUInt32BE(crc32(bytes))
  return `crc32 ${value.toString('base64')}`
}

async function part(target: Target, bytes: Uint8Array): Promise<string> {
  const url = await target.create(bytes.byteLength, { 'Upload-Concat': 'partial' })
  expectStatus(await target.patch(url, 0, bytes), 204, 'PATCH of a part')
  return url
}

const finalOf = (...urls: readonly string[]) => ({ 'Upload-Concat': `final;${urls.map((url) => new URL(url).pathname).join(' ')}` })

export const verifyCases: readonly Case[] = [
  {
    row: 28,
    name: 'a correct checksum of every announced algorithm gets 204',
    level: 'must',
    needs: ['checksum'],
    async run(target) {
      const announced = (target.announced.headers.get('tus-checksum-algorithm') ?? '').split(',').map((name) => name.trim())
      for (const algorithm of announced.filter((name) => ['sha1', 'sha256', 'sha512', 'md5', 'crc32'].includes(name))) {
        const bytes = sampleBytes(100_000)
        const url = await target.create(bytes.byteLength)
        const answer = await target.patch(url, 0, bytes, { 'Upload-Checksum': checksum(algorithm, bytes) })
        expectStatus(answer, 204, `PATCH with a right ${algorithm}`)
        expectHeader(answer, 'Upload-Offset', '100000', `PATCH with a right ${algorithm}`)
      }
    },
  },
  {
    row: 28,
    name: 'a wrong checksum gets 460 and changes neither offset nor bytes',
    level: 'must',
    needs: ['checksum'],
    async run(target) {
      const bytes = sampleBytes(200_000)
      const url = await target.create(bytes.byteLength)
      expectStatus(await target.patch(url, 0, bytes.subarray(0, 1000)), 204, 'PATCH')
      const wrong = await target.patch(url, 1000, sampleBytes(100_000, 99), { 'Upload-Checksum': checksum('sha1', bytes) })
      expectStatus(wrong, 460, 'PATCH with a wrong checksum')
      expectThat((await target.offset(url)) === 1000, 'the offset moved')
      const rest = bytes.subarray(1000)
      expectStatus(await target.patch(url, 1000, rest, { 'Upload-Checksum': checksum('sha1', rest) }), 204, 'PATCH of the right bytes')
    },
  },
  {
    row: 28,
    name: 'an unknown algorithm and a malformed checksum get 400, and nothing is stored',
    level: 'must',
    needs: ['checksum'],
    async run(target) {
      const url = await target.create(10)
      for (const header of ['md9 AAAA', 'sha1 !!!!', 'sha1 AAAA', 'sha1']) {
        expectStatus(await target.patch(url, 0, sampleBytes(10), { 'Upload-Checksum': header }), 400, `PATCH with Upload-Checksum ${JSON.stringify(header)}`)
      }
      expectThat((await target.offset(url)) === 0, 'the offset moved')
    },
  },
  {
    row: 29,
    name: 'a PATCH with a checksum whose connection breaks stores nothing, and the upload can be resumed',
    level: 'best',
    needs: ['checksum'],
    async run(target) {
      const bytes = sampleBytes(200_000)
      const url = await target.create(bytes.byteLength)
      const wire = await target.beginPatch(url, 0, bytes.byteLength, bytes.subarray(0, 150_000), { 'Upload-Checksum': checksum('sha1', bytes) })
      await new Promise((resolve) => setTimeout(resolve, 100))
      wire.cut()
      expectThat((await target.offset(url)) === 0, 'unverified bytes were kept')
      expectStatus(await target.patch(url, 0, bytes), 204, 'PATCH without a checksum')
    },
  },
  {
    row: 30,
    name: 'HEAD of a part returns Upload-Concat, and a complete part does not become an image',
    level: 'must',
    needs: ['concatenation'],
    async run(target) {
      const url = await part(target, sampleBytes(100))
      const head = await target.head(url)
      expectHeader(head, 'Upload-Concat', 'partial', 'HEAD of a part')
      expectHeader(head, 'Upload-Offset', '100', 'HEAD of a part')
    },
  },
  {
    row: 31,
    name: 'a final upload joins its parts in order, parts can repeat, and they can be used again',
    level: 'must',
    needs: ['concatenation'],
    async run(target) {
      const a = await part(target, sampleBytes(100_000, 1))
      const b = await part(target, sampleBytes(70_001, 2))
      for (const [urls, length] of [
        [[a, b], 170_001],
        [[b, a, b], 240_002],
      ] as const) {
        const answer = await target.post(finalOf(...urls))
        expectStatus(answer, 201, 'POST of a final upload')
        const head = await target.head(target.location(answer))
        expectHeader(head, 'Upload-Length', String(length), 'HEAD of a final upload')
        expectHeader(head, 'Upload-Offset', String(length), 'HEAD of a final upload')
        expectHeader(head, 'Upload-Concat', finalOf(...urls)['Upload-Concat'], 'HEAD of a final upload')
      }
    },
  },
  {
    row: 31,
    name: 'parts can be absolute URLs',
    level: 'must',
    needs: ['concatenation'],
    async run(target) {
      const a = await part(target, sampleBytes(100))
      expectStatus(await target.post({ 'Upload-Concat': `final;${a} ${a}` }), 201, 'POST of a final upload by absolute URLs')
    },
  },
  {
    row: 31,
    name: 'a final upload with a length, or of unfinished, unknown or ordinary uploads, is refused',
    level: 'best',
    needs: ['concatenation'],
    async run(target) {
      const a = await part(target, sampleBytes(100))
      const unfinished = await target.create(100, { 'Upload-Concat': 'partial' })
      const ordinary = await target.create(100)
      const refusals: Record<string, Record<string, string>> = {
        'an unfinished part': finalOf(a, unfinished),
        'an ordinary upload': finalOf(a, ordinary),
        'an unknown upload': finalOf(a, `${a.slice(0, -2)}zz`),
        'a foreign URL': { 'Upload-Concat': 'final;https://elsewhere.example/files/1' },
        'no parts': { 'Upload-Concat': 'final;' },
        'a length': { ...finalOf(a), 'Upload-Length': '100' },
        'an unknown word': { 'Upload-Concat': 'half', 'Upload-Length': '100' },
      }
      for (const [what, headers] of Object.entries(refusals)) expectStatus(await target.post(headers), [400, 403, 404], `POST with ${what}`)
    },
  },
  {
    row: 32,
    name: 'PATCH of a final upload gets 403 and changes nothing',
    level: 'must',
    needs: ['concatenation'],
    async run(target) {
      const url = target.location(await target.post(finalOf(await part(target, sampleBytes(100)))))
      for (const offset of [0, 100]) expectStatus(await target.patch(url, offset, sampleBytes(5)), 403, `PATCH at ${offset} of a final upload`)
      expectThat((await target.offset(url)) === 100, 'the offset moved')
    },
  },
  {
    row: 32,
    name: 'parts can be deleted after the final upload was created',
    level: 'best',
    needs: ['concatenation', 'termination'],
    async run(target) {
      const a = await part(target, sampleBytes(100))
      const url = target.location(await target.post(finalOf(a, a)))
      expectStatus(await target.ask('DELETE', a), 204, 'DELETE of a part')
      expectThat((await target.offset(url)) === 200, 'the final upload changed')
    },
  },
  {
    row: 30,
    name: 'the creation of a part can include bytes',
    level: 'best',
    needs: ['concatenation', 'creation-with-upload'],
    async run(target) {
      const answer = await target.post({ 'Upload-Length': '10', 'Upload-Concat': 'partial', ...OFFSET_TYPE }, sampleBytes(10))
      expectStatus(answer, 201, 'POST of a part with its bytes')
      expectHeader(answer, 'Upload-Offset', '10', 'POST of a part with its bytes')
    },
  },
]
