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
    name: 'a right checksum of every announced algorithm gets 204',
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
    name: 'a wrong checksum gets 460, and offset and bytes stay as they were',
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
    name: 'of a PATCH with a checksum that is cut nothing is kept, and the upload goes on',
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
    name: 'HEAD of a part echoes Upload-Concat, and a finished part is no image',
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
    name: 'a final upload is its parts in order, also the same part twice, and the parts may be used again',
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
    name: 'absolute URLs name parts too',
    level: 'must',
    needs: ['concatenation'],
    async run(target) {
      const a = await part(target, sampleBytes(100))
      expectStatus(await target.post({ 'Upload-Concat': `final;${a} ${a}` }), 201, 'POST of a final upload by absolute URLs')
    },
  },
  {
    row: 31,
    name: 'a final upload of unfinished, unknown or ordinary uploads is refused, and so is one with a length',
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
    name: 'parts may be removed once the final upload is made',
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
    name: 'a part may bring bytes with its creation',
    level: 'best',
    needs: ['concatenation', 'creation-with-upload'],
    async run(target) {
      const answer = await target.post({ 'Upload-Length': '10', 'Upload-Concat': 'partial', ...OFFSET_TYPE }, sampleBytes(10))
      expectStatus(answer, 201, 'POST of a part with its bytes')
      expectHeader(answer, 'Upload-Offset', '10', 'POST of a part with its bytes')
    },
  },
]
