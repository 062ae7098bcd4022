// Rows 1 to 16 and 41 to 43: the core protocol, its refusals, and bodies that end early.

import { eventually, expectHeader, expectNoHeader, expectStatus, expectSuccess, expectThat, OFFSET_TYPE, sampleBytes } from './suite.ts'
import type { Case } from './suite.ts'
import { Wire } from './wire.ts'

const MIB = 1024 * 1024

export const coreCases: readonly Case[] = [
  {
    row: 1,
    name: 'OPTIONS returns versions and extensions for any Tus-Resumable',
    level: 'must',
    async run(target) {
      for (const version of ['', '0.2.2', '1.0.0']) {
        const answer = await target.ask('OPTIONS', target.options.url, { 'Tus-Resumable': version })
        expectStatus(answer, [200, 204], `OPTIONS with Tus-Resumable ${version || 'missing'}`)
        expectHeader(answer, 'Tus-Version', /(?:^|,)\s*1\.0\.0\s*(?:,|$)/, 'OPTIONS')
      }
    },
  },
  {
    row: 1,
    name: 'OPTIONS returns Tus-Checksum-Algorithm with sha1 if checksum is offered',
    level: 'must',
    needs: ['checksum'],
    async run(target) {
      expectHeader(target.announced, 'Tus-Checksum-Algorithm', /(?:^|,)\s*sha1\s*(?:,|$)/, 'OPTIONS')
    },
  },
  {
    row: 2,
    name: 'an unsupported version gets 412 with Tus-Version, and the request has no effect',
    level: 'must',
    async run(target) {
      const created = await target.post({ 'Upload-Length': '10', 'Tus-Resumable': '0.2.2' })
      expectStatus(created, 412, 'POST with Tus-Resumable 0.2.2')
      expectHeader(created, 'Tus-Version', /1\.0\.0/, 'POST with Tus-Resumable 0.2.2')
      expectNoHeader(created, 'Location', 'POST with Tus-Resumable 0.2.2')
      const url = await target.create(10)
      const patched = await target.patch(url, 0, sampleBytes(5), { 'Tus-Resumable': '2.0.0' })
      expectStatus(patched, 412, 'PATCH with Tus-Resumable 2.0.0')
      expectThat((await target.offset(url)) === 0, 'a PATCH of a wrong version was stored')
    },
  },
  {
    row: 2,
    name: 'a missing version gets 412 with Tus-Version',
    level: 'best',
    async run(target) {
      const answer = await target.post({ 'Upload-Length': '10', 'Tus-Resumable': '' })
      expectStatus(answer, 412, 'POST without Tus-Resumable')
      expectHeader(answer, 'Tus-Version', /1\.0\.0/, 'POST without Tus-Resumable')
    },
  },
  {
    row: 3,
    name: 'Tus-Resumable is in every answer, including refusals',
    level: 'must',
    async run(target) {
      const url = await target.create(10)
      const answers = {
        'a creation without a length': await target.post({}),
        'an unknown upload': await target.head(`${target.options.url.replace(/\/$/, '')}/doesnotexist`),
        'a wrong offset': await target.patch(url, 3, sampleBytes(1)),
        'a wrong media type': await target.patch(url, 0, sampleBytes(1), { 'Content-Type': 'text/plain' }),
        HEAD: await target.head(url),
        PATCH: await target.patch(url, 0, sampleBytes(1)),
      }
      for (const [doing, answer] of Object.entries(answers)) expectHeader(answer, 'Tus-Resumable', '1.0.0', doing)
    },
  },
  {
    row: 4,
    name: 'HEAD returns the offset and length of a new, unfinished and complete upload, with no-store',
    level: 'must',
    async run(target) {
      const url = await target.create(100)
      for (const [offset, piece] of [
        [0, sampleBytes(40)],
        [40, sampleBytes(60)],
        [100, sampleBytes(0)],
      ] as const) {
        const answer = await target.head(url)
        expectStatus(answer, [200, 204], 'HEAD')
        expectHeader(answer, 'Upload-Offset', String(offset), 'HEAD')
        expectHeader(answer, 'Upload-Length', '100', 'HEAD')
        expectHeader(answer, 'Cache-Control', /no-store/, 'HEAD')
        if (piece.byteLength > 0) expectStatus(await target.patch(url, offset, piece), 204, 'PATCH')
      }
    },
  },
  {
    row: 5,
    name: 'HEAD of an unknown upload gets 404, 410 or 403 without an offset',
    level: 'should',
    async run(target) {
      const answer = await target.head(`${target.options.url.replace(/\/$/, '')}/doesnotexist`)
      expectStatus(answer, [403, 404, 410], 'HEAD of an unknown upload')
      expectNoHeader(answer, 'Upload-Offset', 'HEAD of an unknown upload')
    },
  },
  {
    row: 8,
    name: 'PATCH at another offset gets 409 and changes nothing',
    level: 'must',
    async run(target) {
      const url = await target.create(20)
      expectStatus(await target.patch(url, 0, sampleBytes(10)), 204, 'PATCH')
      for (const offset of [0, 9, 11]) expectStatus(await target.patch(url, offset, sampleBytes(5)), 409, `PATCH at ${offset} of an upload at 10`)
      expectThat((await target.offset(url)) === 10, 'the offset moved')
    },
  },
  {
    row: 8,
    name: 'the refusal of a wrong offset returns the expected one',
    level: 'best',
    async run(target) {
      const url = await target.create(20)
      expectHeader(await target.patch(url, 7, sampleBytes(5)), 'Upload-Offset', '0', 'PATCH at a wrong offset')
    },
  },
  {
    row: 9,
    name: 'PATCH with another content type gets 415',
    level: 'should',
    async run(target) {
      const url = await target.create(20)
      expectStatus(await target.patch(url, 0, sampleBytes(5), { 'Content-Type': 'application/octet-stream' }), 415, 'PATCH as application/octet-stream')
      expectStatus(await target.patch(url, 0, sampleBytes(5), { 'Content-Type': '' }), 415, 'PATCH without Content-Type')
      expectThat((await target.offset(url)) === 0, 'the bytes were stored')
    },
  },
  {
    row: 10,
    name: 'PATCH gets 204 with the new offset, with Content-Length or chunked',
    level: 'must',
    async run(target) {
      const url = await target.create(30)
      const first = await target.patch(url, 0, sampleBytes(10))
      expectStatus(first, 204, 'PATCH')
      expectHeader(first, 'Upload-Offset', '10', 'PATCH')
      const second = await target.ask('PATCH', url, { ...OFFSET_TYPE, 'Upload-Offset': '10' }, sampleBytes(20), true)
      expectStatus(second, 204, 'PATCH in chunks')
      expectHeader(second, 'Upload-Offset', '30', 'PATCH in chunks')
    },
  },
  {
    row: 11,
    name: 'PATCH of an unknown upload gets 404',
    level: 'should',
    async run(target) {
      const answer = await target.patch(`${target.options.url.replace(/\/$/, '')}/doesnotexist`, 0, sampleBytes(5))
      expectStatus(answer, [403, 404, 410], 'PATCH of an unknown upload')
    },
  },
  {
    row: 11,
    name: 'a missing or malformed Upload-Offset gets 400',
    level: 'best',
    async run(target) {
      const url = await target.create(20)
      for (const offset of ['', '-1', '0.5', '1e0', 'x']) {
        expectStatus(await target.patch(url, 0, sampleBytes(5), { 'Upload-Offset': offset }), 400, `PATCH with Upload-Offset ${JSON.stringify(offset)}`)
      }
    },
  },
  {
    row: 12,
    name: 'PATCH over the length gets 413 before anything is stored',
    level: 'best',
    async run(target) {
      const url = await target.create(10)
      expectStatus(await target.patch(url, 0, sampleBytes(11)), 413, 'PATCH of 11 bytes into 10')
      expectThat((await target.offset(url)) === 0, 'bytes were stored')
    },
  },
  {
    row: 12,
    name: 'a chunked PATCH over the length is refused, and the upload can still be completed',
    level: 'best',
    async run(target) {
      const url = await target.create(10)
      const answer = await target.ask('PATCH', url, { ...OFFSET_TYPE, 'Upload-Offset': '0' }, sampleBytes(11), true)
      expectStatus(answer, [400, 413], 'PATCH of 11 bytes in chunks into 10')
      const offset = await target.offset(url)
      expectThat(offset < 10, `${offset} of 10 bytes are held of a body that did not fit`)
      expectStatus(await target.patch(url, offset, sampleBytes(10 - offset)), 204, 'PATCH of the rest')
    },
  },
  {
    row: 13,
    name: 'an empty PATCH at the right offset gets 204, even if the upload is complete',
    level: 'must',
    async run(target) {
      const url = await target.create(10)
      expectStatus(await target.patch(url, 0, new Uint8Array(0)), 204, 'PATCH of no bytes')
      expectStatus(await target.patch(url, 0, sampleBytes(10)), 204, 'PATCH')
      const again = await target.patch(url, 10, new Uint8Array(0))
      expectStatus(again, 204, 'PATCH of no bytes at the end')
      expectHeader(again, 'Upload-Offset', '10', 'PATCH of no bytes at the end')
    },
  },
  ...(['close', 'reset'] as const).map((kind): Case => ({
    row: 14,
    name: `a connection that breaks (${kind === 'close' ? 'FIN' : 'RST'}) during a PATCH keeps what arrived, and the upload can be resumed`,
    level: 'should',
    async run(target) {
      const content = sampleBytes(3 * MIB)
      const sent = 2 * MIB + 123
      const url = await target.create(content.byteLength)
      const wire = await target.beginPatch(url, 0, content.byteLength, content.subarray(0, sent))
      // Waits until the server has read the bytes: a reset discards those in its socket buffer.
      await new Promise((resolve) => setTimeout(resolve, 300))
      wire.cut(kind)
      const offset = await target.offset(url)
      expectThat(offset === sent, `${offset} of ${sent} bytes are held`)
      expectStatus(await target.patch(url, offset, content.subarray(offset)), 204, 'PATCH of the rest')
      expectThat((await target.offset(url)) === content.byteLength, 'the upload is not finished')
    },
  })),
  {
    row: 14,
    name: 'HEAD right after a broken connection returns an offset from which the upload can be resumed',
    level: 'best',
    async run(target) {
      const content = sampleBytes(4 * MIB)
      const url = await target.create(content.byteLength)
      const wire = await target.beginPatch(url, 0, content.byteLength, content.subarray(0, 3 * MIB))
      wire.cut()
      const offset = await target.offset(url)
      expectStatus(await target.patch(url, offset, content.subarray(offset)), 204, 'PATCH at the offset that HEAD told')
      expectThat((await target.offset(url)) === content.byteLength, 'the upload is not finished')
    },
  },
  {
    row: 15,
    name: 'a new PATCH replaces a silent one within a second and keeps its bytes',
    level: 'best',
    async run(target) {
      const url = await target.create(1000)
      using wire = await target.beginPatch(url, 0, 1000, sampleBytes(400))
      await new Promise((resolve) => setTimeout(resolve, 200))
      const startMs = performance.now()
      const offset = await target.offset(url)
      const tookMs = performance.now() - startMs
      expectThat(offset === 400, `${offset} of 400 bytes are held`)
      expectThat(tookMs < 1000, `HEAD took ${Math.round(tookMs)} ms`)
      await wire.write(sampleBytes(600))
      expectThat((await target.offset(url)) === 400, 'late bytes of the old connection were stored')
      expectStatus(await target.patch(url, 400, sampleBytes(600)), 204, 'PATCH of the rest')
    },
  },
  {
    row: 16,
    name: 'exactly one of two concurrent PATCHes at the same offset succeeds',
    level: 'must',
    async run(target) {
      const content = sampleBytes(256 * 1024)
      const url = await target.create(content.byteLength)
      const answers = await Promise.all([target.patch(url, 0, content), target.patch(url, 0, content)])
      const statuses = answers.map((answer) => answer.status).toSorted((a, b) => a - b)
      expectThat(statuses[0] === 204 && (statuses[1] === 409 || statuses[1] === 423), `the answers are ${statuses.join(' and ')}`)
      const offset = await target.offset(url)
      expectThat(offset === content.byteLength, `${offset} of ${content.byteLength} bytes are held`)
    },
  },
  {
    row: 37,
    name: 'a refused request with Expect: 100-continue gets no 100, and its body is not sent',
    level: 'best',
    async run(target) {
      const url = await target.create(10)
      using wire = await Wire.open(url)
      const headers = target.headers({ ...OFFSET_TYPE, 'Upload-Offset': '5', Expect: '100-continue' })
      await wire.send({ method: 'PATCH', url, headers }, 5)
      expectStatus(await wire.answer('PATCH', 5000), 409, 'PATCH with Expect at a wrong offset')
      // RFC 9110 §10.1.1: the server may send the final status instead of 100.
      expectThat(wire.interim.length === 0, `before the refusal came ${wire.interim.join(', ')}`)
    },
  },
  {
    row: 40,
    name: 'two hundred silent PATCHes do not block another upload',
    level: 'best',
    async run(target) {
      const wires: Wire[] = []
      try {
        for (let i = 0; i < 200; i++) wires.push(await target.beginPatch(await target.create(1000), 0, 1000, sampleBytes(10)))
        const url = await target.create(100_000)
        const startMs = performance.now()
        expectStatus(await target.patch(url, 0, sampleBytes(100_000)), 204, 'PATCH beside 200 silent ones')
        const tookMs = performance.now() - startMs
        expectThat(tookMs < 5000, `PATCH beside 200 silent ones took ${Math.round(tookMs)} ms`)
      } finally {
        for (const wire of wires) wire.cut()
      }
    },
  },
  {
    row: 41,
    name: 'after a refusal with an unread body, the connection closes or serves the next request',
    level: 'must',
    async run(target) {
      const url = await target.create(1000)
      using wire = await Wire.open(url)
      await wire.send({ method: 'PATCH', url, headers: target.headers({ ...OFFSET_TYPE, 'Upload-Offset': '500' }), body: sampleBytes(300) })
      expectStatus(await wire.answer('PATCH'), 409, 'PATCH at a wrong offset')
      await wire.send({ method: 'HEAD', url, headers: target.headers() })
      const next = await wire.answer('HEAD').catch(() => undefined)
      if (!next) expectThat(wire.isEnded, 'the connection neither answers nor is closed')
      else expectHeader(next, 'Upload-Offset', '0', 'HEAD after the refusal')
    },
  },
  {
    row: 42,
    name: 'lengths over 2^32 are exact',
    level: 'must',
    async run(target) {
      const length = 5 * 2 ** 32 + 1
      const answer = await target.post({ 'Upload-Length': String(length) })
      if (answer.status === 413 || answer.status === 507) return
      expectStatus(answer, 201, `creating an upload of ${length} bytes`)
      const url = target.location(answer)
      expectHeader(await target.head(url), 'Upload-Length', String(length), 'HEAD')
      if (target.has('termination')) await target.ask('DELETE', url)
    },
  },
  {
    row: 42,
    name: 'a body of 160 MiB in one PATCH is accepted',
    level: 'best',
    async run(target) {
      const length = 160 * MIB
      const url = await target.create(length)
      const piece = sampleBytes(MIB)
      using wire = await Wire.open(url)
      await wire.send({ method: 'PATCH', url, headers: target.headers({ ...OFFSET_TYPE, 'Upload-Offset': '0' }) }, length)
      for (let sent = 0; sent < length; sent += MIB) await wire.write(piece)
      expectStatus(await wire.answer('PATCH', 120_000), 204, 'PATCH of 160 MiB')
      await eventually('the upload is finished', async () => (await target.offset(url)) === length)
    },
  },
  {
    row: 43,
    name: 'malformed ids reach no file outside the uploads, and no other upload',
    level: 'best',
    async run(target) {
      const base = target.options.url.replace(/\/$/, '')
      for (const id of ['..%2f..%2fetc%2fpasswd', '%00', 'a%00b', '%2e%2e', 'upl_%0d%0aX: y'.replace(' ', '%20'), 'x'.repeat(3000)]) {
        using wire = await Wire.open(base)
        await wire.write(new TextEncoder().encode(`HEAD ${new URL(base).pathname}/${id} HTTP/1.1\r\nHost: ${new URL(base).host}\r\n`))
        const lines = Object.entries(target.headers()).map(([name, value]) => `${name}: ${value}\r\n`)
        await wire.write(new TextEncoder().encode(`${lines.join('')}\r\n`))
        const answer = await wire.answer('HEAD')
        expectThat(answer.status >= 400 && answer.status < 500, `HEAD of id ${id.slice(0, 30)}: ${answer.status} instead of 4xx`)
        expectNoHeader(answer, 'Upload-Offset', `HEAD of id ${id.slice(0, 30)}`)
      }
    },
  },
  {
    row: 43,
    name: 'an id does not reveal other ids',
    level: 'best',
    async run(target) {
      const ids = await Promise.all([1, 2, 3].map(async () => (await target.create(1)).split('/').at(-1) ?? ''))
      expectThat(new Set(ids).size === 3, 'two uploads have one id')
      const [first = ''] = ids
      let different = 0
      for (let at = 0; at < first.length; at++) if (ids.some((id) => id[at] !== first[at])) different++
      expectThat(different >= 12, `ids differ in ${different} characters only`)
    },
  },
  {
    row: 44,
    name: 'repeated requests for a complete upload get the same answer',
    level: 'best',
    async run(target) {
      const url = await target.create(10)
      const first = await target.patch(url, 0, sampleBytes(10))
      expectSuccess(first, 'PATCH')
      for (const answer of [await target.patch(url, 10, new Uint8Array(0)), await target.head(url), await target.patch(url, 10, new Uint8Array(0))]) {
        expectSuccess(answer, 'asking again')
        const location = first.headers.get('content-location')
        if (location !== undefined) expectHeader(answer, 'Content-Location', location, 'asking again')
      }
    },
  },
]
