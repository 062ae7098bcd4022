// Rows 6, 7, 17, 21 to 27, 33 to 36: creation, metadata, deferred length, expiry, termination, method override, CORS.

import { expectHeader, expectNoHeader, expectStatus, expectSuccess, expectThat, OFFSET_TYPE, sampleBytes } from './suite.ts'
import type { Case } from './suite.ts'

/** Base64 of bytes that are not UTF-8. */
const BINARY = '/////w=='

export const extensionCases: readonly Case[] = [
  {
    row: 6,
    name: 'HEAD returns Upload-Metadata as it was sent',
    level: 'must',
    needs: ['creation'],
    async run(target) {
      const metadata = `filename ${btoa('disk.raw')},note ${btoa('a b')},empty`
      const url = await target.create(10, { 'Upload-Metadata': metadata })
      const echoed = (await target.head(url)).headers.get('upload-metadata') ?? ''
      const pairs = (text: string): string =>
        text
          .split(',')
          .map((pair) => pair.trim())
          .toSorted()
          .join(',')
      expectThat(pairs(echoed) === pairs(metadata), `HEAD echoes ${JSON.stringify(echoed)} for ${JSON.stringify(metadata)}`)
    },
  },
  {
    row: 6,
    name: 'a metadata value that is not UTF-8 is returned unchanged',
    level: 'must',
    needs: ['creation'],
    async run(target) {
      const url = await target.create(10, { 'Upload-Metadata': `blob ${BINARY}` })
      expectHeader(await target.head(url), 'Upload-Metadata', `blob ${BINARY}`, 'HEAD')
    },
  },
  {
    row: 7,
    name: 'HEAD returns Upload-Defer-Length until the length is known, then Upload-Length',
    level: 'must',
    needs: ['creation-defer-length'],
    async run(target) {
      const url = await target.create('deferred')
      const before = await target.head(url)
      expectHeader(before, 'Upload-Defer-Length', '1', 'HEAD')
      expectNoHeader(before, 'Upload-Length', 'HEAD')
      expectStatus(await target.patch(url, 0, sampleBytes(5)), 204, 'PATCH without a length')
      expectStatus(await target.patch(url, 5, sampleBytes(1), { 'Upload-Length': '10' }), 204, 'PATCH with the length')
      const after = await target.head(url)
      expectHeader(after, 'Upload-Length', '10', 'HEAD')
      expectNoHeader(after, 'Upload-Defer-Length', 'HEAD')
    },
  },
  {
    row: 17,
    name: 'DELETE gets 204 and removes the upload',
    level: 'must',
    needs: ['termination'],
    async run(target) {
      const url = await target.create(10)
      expectStatus(await target.patch(url, 0, sampleBytes(5)), 204, 'PATCH')
      expectStatus(await target.ask('DELETE', url), 204, 'DELETE')
      expectStatus(await target.head(url), [404, 410], 'HEAD after DELETE')
      expectStatus(await target.patch(url, 5, sampleBytes(5)), [404, 410], 'PATCH after DELETE')
    },
  },
  {
    row: 17,
    name: 'DELETE during a PATCH ends it within a second',
    level: 'best',
    needs: ['termination'],
    async run(target) {
      const url = await target.create(1000)
      using wire = await target.beginPatch(url, 0, 1000, sampleBytes(300))
      await new Promise((resolve) => setTimeout(resolve, 100))
      const startMs = performance.now()
      expectStatus(await target.ask('DELETE', url), 204, 'DELETE')
      const tookMs = performance.now() - startMs
      expectThat(tookMs < 1000, `DELETE took ${Math.round(tookMs)} ms`)
      await wire.write(sampleBytes(700))
      expectStatus(await target.head(url), [404, 410], 'HEAD after DELETE')
    },
  },
  {
    row: 21,
    name: 'a length over Tus-Max-Size gets 413',
    level: 'must',
    needs: ['creation'],
    async run(target) {
      const max = Number(target.announced.headers.get('tus-max-size') ?? Number.NaN)
      if (!(max < Number.MAX_SAFE_INTEGER)) return
      const answer = await target.post({ 'Upload-Length': String(max + 1) })
      expectStatus(answer, 413, 'POST over Tus-Max-Size')
      expectNoHeader(answer, 'Location', 'POST over Tus-Max-Size')
    },
  },
  {
    row: 22,
    name: 'an upload of length 0 is complete when it is created',
    level: 'must',
    needs: ['creation'],
    async run(target) {
      const url = await target.create(0)
      const answer = await target.head(url)
      expectHeader(answer, 'Upload-Offset', '0', 'HEAD')
      expectHeader(answer, 'Upload-Length', '0', 'HEAD')
    },
  },
  {
    row: 23,
    name: 'a creation requires either a valid length or a valid deferral',
    level: 'must',
    needs: ['creation'],
    async run(target) {
      const wrong: Record<string, string>[] = [{}, { 'Upload-Length': '10', 'Upload-Defer-Length': '1' }, { 'Upload-Defer-Length': '2' }]
      for (const length of ['-1', '1.5', '1e3', 'x']) wrong.push({ 'Upload-Length': length })
      for (const headers of wrong) expectStatus(await target.post(headers), [400, 413], `POST with ${JSON.stringify(headers)}`)
      // The server refuses a number beyond 2^53, or keeps it exactly.
      const large = '9007199254740993'
      const answer = await target.post({ 'Upload-Length': large })
      if (answer.status === 201) expectHeader(await target.head(target.location(answer)), 'Upload-Length', large, 'HEAD')
      else expectStatus(answer, [400, 413], `POST with a length of ${large}`)
    },
  },
  {
    row: 24,
    name: 'a deferred length can be set once and never changed',
    level: 'must',
    needs: ['creation-defer-length'],
    async run(target) {
      const url = await target.create('deferred')
      expectStatus(await target.patch(url, 0, sampleBytes(5), { 'Upload-Length': '10' }), 204, 'PATCH with the length')
      expectStatus(await target.patch(url, 5, sampleBytes(1), { 'Upload-Length': '20' }), 400, 'PATCH with another length')
      expectHeader(await target.head(url), 'Upload-Length', '10', 'HEAD')
    },
  },
  {
    row: 24,
    name: 'the same length is accepted again, one below the offset is refused, and one at the offset completes the upload',
    level: 'best',
    needs: ['creation-defer-length'],
    async run(target) {
      const url = await target.create('deferred')
      expectStatus(await target.patch(url, 0, sampleBytes(5)), 204, 'PATCH')
      expectStatus(await target.patch(url, 5, new Uint8Array(0), { 'Upload-Length': '4' }), [400, 413], 'PATCH with a length below the offset')
      expectStatus(await target.patch(url, 5, new Uint8Array(0), { 'Upload-Length': '5' }), 204, 'PATCH with the length at the offset')
      expectStatus(await target.patch(url, 5, new Uint8Array(0), { 'Upload-Length': '5' }), 204, 'PATCH with the same length again')
      const head = await target.head(url)
      expectHeader(head, 'Upload-Length', '5', 'HEAD')
      expectHeader(head, 'Upload-Offset', '5', 'HEAD')
    },
  },
  {
    row: 25,
    name: 'a creation can include bytes',
    level: 'must',
    needs: ['creation-with-upload'],
    async run(target) {
      const whole = await target.post({ 'Upload-Length': '10', ...OFFSET_TYPE }, sampleBytes(10))
      expectStatus(whole, 201, 'POST with all bytes')
      expectHeader(whole, 'Upload-Offset', '10', 'POST with all bytes')
      const part = await target.post({ 'Upload-Length': '10', ...OFFSET_TYPE }, sampleBytes(4))
      expectStatus(part, 201, 'POST with some bytes')
      expectHeader(part, 'Upload-Offset', '4', 'POST with some bytes')
      expectStatus(await target.patch(target.location(part), 4, sampleBytes(6)), 204, 'PATCH of the rest')
    },
  },
  {
    row: 25,
    name: 'a creation with more bytes than its length gets 413',
    level: 'best',
    needs: ['creation-with-upload'],
    async run(target) {
      expectStatus(await target.post({ 'Upload-Length': '10', ...OFFSET_TYPE }, sampleBytes(11)), 413, 'POST of 11 bytes into 10')
    },
  },
  {
    row: 26,
    name: 'every PATCH that leaves an upload unfinished returns Upload-Expires as an HTTP date',
    level: 'must',
    needs: ['expiration'],
    async run(target) {
      const created = await target.post({ 'Upload-Length': '10' })
      const url = target.location(created)
      for (const answer of [created, await target.patch(url, 0, sampleBytes(5))]) {
        expectHeader(answer, 'Upload-Expires', /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/, 'an unfinished upload')
        expectThat(Date.parse(answer.headers.get('upload-expires') ?? '') > Date.now(), 'Upload-Expires is in the past')
      }
    },
  },
  {
    row: 27,
    name: 'a complete upload does not expire',
    level: 'best',
    needs: ['expiration'],
    async run(target) {
      const url = await target.create(10)
      expectStatus(await target.patch(url, 0, sampleBytes(10)), 204, 'PATCH')
      expectNoHeader(await target.head(url), 'Upload-Expires', 'HEAD of a finished upload')
    },
  },
  {
    row: 33,
    name: 'X-HTTP-Method-Override replaces the method',
    level: 'must',
    async run(target) {
      const url = await target.create(10)
      const patched = await target.ask('POST', url, { ...OFFSET_TYPE, 'Upload-Offset': '0', 'X-HTTP-Method-Override': 'PATCH' }, sampleBytes(4))
      expectStatus(patched, 204, 'POST as PATCH')
      expectHeader(patched, 'Upload-Offset', '4', 'POST as PATCH')
      if (!target.has('termination')) return
      expectStatus(await target.ask('POST', url, { 'X-HTTP-Method-Override': 'DELETE' }), 204, 'POST as DELETE')
      expectStatus(await target.head(url), [404, 410], 'HEAD after POST as DELETE')
    },
  },
  {
    row: 33,
    name: 'X-HTTP-Method-Override can be HEAD',
    level: 'best',
    async run(target) {
      const head = await target.ask('POST', await target.create(10), { 'X-HTTP-Method-Override': 'HEAD' })
      expectSuccess(head, 'POST as HEAD')
      expectHeader(head, 'Upload-Offset', '0', 'POST as HEAD')
    },
  },
  {
    row: 34,
    name: 'a page of an allowed origin can upload and read the headers that it needs',
    level: 'best',
    needs: ['cors'],
    async run(target) {
      const origin = target.options.origin ?? ''
      const preflight = await target.ask('OPTIONS', target.options.url, {
        Origin: origin,
        'Access-Control-Request-Method': 'PATCH',
        'Access-Control-Request-Headers': 'tus-resumable,upload-offset,content-type',
      })
      expectSuccess(preflight, 'preflight')
      for (const method of ['POST', 'HEAD', 'PATCH', 'DELETE', 'OPTIONS'])
        expectHeader(preflight, 'Access-Control-Allow-Methods', new RegExp(method), 'preflight')
      const allowed = [
        'Tus-Resumable',
        'Upload-Length',
        'Upload-Offset',
        'Upload-Metadata',
        'Upload-Defer-Length',
        'Upload-Concat',
        'X-HTTP-Method-Override',
        'Content-Type',
      ]
      if (target.has('checksum')) allowed.push('Upload-Checksum')
      for (const name of allowed) expectHeader(preflight, 'Access-Control-Allow-Headers', new RegExp(name, 'i'), 'preflight')
      const refused = await target.patch(await target.create(10), 5, sampleBytes(1), { Origin: origin })
      expectHeader(refused, 'Access-Control-Allow-Origin', new RegExp(`^(?:\\*|${RegExp.escape(origin)})$`), 'a refusal')
      const exposed = ['Upload-Offset', 'Location', 'Upload-Length', 'Tus-Resumable', 'Upload-Metadata']
      if (target.has('expiration')) exposed.push('Upload-Expires')
      for (const name of exposed) expectHeader(refused, 'Access-Control-Expose-Headers', new RegExp(name, 'i'), 'a refusal')
    },
  },
  {
    row: 34,
    name: 'a page of another origin is not allowed anything',
    level: 'best',
    needs: ['cors'],
    async run(target) {
      const answer = await target.ask('OPTIONS', target.options.url, { Origin: 'https://elsewhere.example', 'Access-Control-Request-Method': 'PATCH' })
      // A server that is configured to allow all origins also allows this one.
      if (answer.headers.get('access-control-allow-origin') === '*') return
      expectNoHeader(answer, 'Access-Control-Allow-Origin', 'preflight of another origin')
    },
  },
  {
    row: 35,
    name: 'lists in forwarding headers are handled, and Location leads to the upload',
    level: 'best',
    async run(target) {
      const answer = await target.post({
        'Upload-Length': '10',
        'X-Forwarded-Proto': 'https,http',
        'X-Forwarded-Host': 'a.example, b.example',
        Forwarded: 'for=1.2.3.4;proto=https, for=5.6.7.8',
      })
      expectStatus(answer, 201, 'POST through two proxies')
      const location = new URL(answer.headers.get('location') ?? '', target.options.url)
      const direct = new URL(location.pathname + location.search, target.options.url).href
      expectSuccess(await target.head(direct), 'HEAD of the Location')
    },
  },
  {
    row: 36,
    name: 'malformed metadata gets 400; an empty header and a key without a value are accepted',
    level: 'best',
    needs: ['creation'],
    async run(target) {
      for (const metadata of [`a ${btoa('1')},a ${btoa('2')}`, `a ${btoa('1')},,b ${btoa('2')}`, 'a !!!', `a ${btoa('1')} x`]) {
        expectStatus(await target.post({ 'Upload-Length': '10', 'Upload-Metadata': metadata }), 400, `POST with Upload-Metadata ${JSON.stringify(metadata)}`)
      }
      for (const metadata of [' ', 'key', `key ,other ${btoa('x')}`]) {
        expectStatus(await target.post({ 'Upload-Length': '10', 'Upload-Metadata': metadata }), 201, `POST with Upload-Metadata ${JSON.stringify(metadata)}`)
      }
    },
  },
  {
    row: 36,
    name: 'metadata keys such as __proto__ are ordinary keys',
    level: 'best',
    needs: ['creation'],
    async run(target) {
      const metadata = `__proto__ ${btoa('x')},constructor ${btoa('y')}`
      const url = await target.create(10, { 'Upload-Metadata': metadata })
      expectHeader(await target.head(url), 'Upload-Metadata', metadata, 'HEAD')
    },
  },
]
