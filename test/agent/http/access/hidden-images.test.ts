// For every route of the access table: a user without a grant cannot tell an image that it may not see from one that does not exist, neither by
// asking for it nor by what lists, counts and cursors show.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Task } from '../../../../protocol/task.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { openAccessStage } from './access-stage.ts'
import type { AccessStage, Answer, User } from './access-stage.ts'
import { ACCESS_TABLE } from './access-table.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Names and ids of the same length as those of the hidden image, so that answers have the same length too. */
const HIDDEN_NAME = 'secret-1'
const MISSING_NAME = 'nothing1'
const MISSING_ID = 'img_0123456789abcdefghjkmnpqrs'

/** Bodies that name an image, by route; other routes get an empty body. */
const BODIES: Readonly<Record<string, (idOrName: string, digests: readonly string[]) => unknown>> = {
  'PATCH /v1/images/:id': () => ({ description: 'changed' }),
  'POST /v1/images': (idOrName) => ({ name: 'new', source: { path: `images/${idOrName}` } }),
  'POST /v1/images/:id/exports': () => ({ dryRun: true }),
  'POST /v1/media-groups': (idOrName) => ({ name: idOrName }),
  'POST /v1/store/reconcile': (idOrName) => ({ apply: [idOrName] }),
  'POST /v1/unique-size': (idOrName) => ({ images: ['public', idOrName] }),
  'POST /v1/links': (idOrName) => ({ kind: 'download', image: idOrName }),
  'POST /v1/slices/missing': (_idOrName, digests) => ({ digests }),
  'POST /v1/slices/fetch': (idOrName, digests) => ({ digests, image: idOrName }),
  'POST /v1/sync/grants': (idOrName) => ({ images: [idOrName], hours: 1 }),
  'POST /v1/sync': (idOrName) => ({ source: { url: 'http://127.0.0.1:1', token: 'x' }, images: [idOrName] }),
}

/** Queries that name an image or what it has, by route. */
const QUERIES: Readonly<Record<string, readonly ((idOrName: string) => string)[]>> = {
  'GET /v1/images': [(idOrName) => `?name=${idOrName}`, () => '?owner=ann', () => '?status=available&limit=1', () => '?status=deleted'],
  'GET /v1/images/:id/content': [() => '?as=raw', () => '?as=qcow2', () => '?as=vmdk', () => '?as=vhd'],
  'GET /v1/uploads': [() => '?limit=1'],
  'GET /v1/media-groups': [() => '?limit=1'],
  'GET /v1/files': [(idOrName) => `?path=images/${idOrName}`, () => '?path=images&limit=1'],
  'GET /v1/files/content': [(idOrName) => `?path=images/${idOrName}/manifest`],
  'GET /v1/events': [() => '?since=0&limit=3'],
  'GET /v1/usage': [() => '?owner=ann', () => '?owner=bob', () => '?limit=1'],
  'GET /v1/exports': [(idOrName) => `?image=${idOrName}`],
  'GET /page/images': [(idOrName) => `?search=${idOrName}`, () => '?sort=owner'],
  'GET /page/uploads': [() => '?_sort=name'],
  'GET /page/tasks': [() => '?_sort=kind'],
  'GET /page/events': [(idOrName) => `?_find=${idOrName}`],
  'GET /v1/tasks': [() => '?kind=export', () => '?limit=1'],
}

/** Routes that name no image, neither in the path nor in what follows it, and show none. A new route belongs here or needs a row above or below. */
const NAMELESS: readonly string[] = [
  'GET /v1/health',
  'HEAD /v1/health',
  'GET /v1/store',
  'HEAD /v1/store',
  'PATCH /v1/store',
  'POST /v1/store/enable',
  'POST /v1/store/disable',
  'POST /v1/store/reconnect',
  'POST /v1/store/cleanup',
  // Names a group, whose images are counted where the groups are listed.
  'PATCH /v1/media-groups/:name',
  'DELETE /v1/media-groups/:name',
  'POST /v1/uploads',
  // For operators, who see every image.
  'GET /v1/evidence',
  'HEAD /v1/evidence',
  'GET /v1/host-keys',
  'HEAD /v1/host-keys',
  'DELETE /v1/host-keys/:host',
  'GET /v1/operating-systems',
  'HEAD /v1/operating-systems',
  'GET /v1/schedules',
  'HEAD /v1/schedules',
  'PATCH /v1/schedules/:name',
  'POST /v1/schedules/:name/run',
  'GET /v1/tokens',
  'HEAD /v1/tokens',
  'POST /v1/tokens',
  'DELETE /v1/tokens/:id',
  'POST /v1/tokens/:id/rotate',
  'GET /v1/links',
  'HEAD /v1/links',
  'GET /v1/links/:id',
  'HEAD /v1/links/:id',
  'DELETE /v1/links/:id',
  // Counts images; the counts are compared in what lists show.
  'GET /metrics',
  'HEAD /metrics',
  'GET /v1/openapi.json',
  'HEAD /v1/openapi.json',
  // Asked without Accept here; it shows excerpts of the pages above.
  'GET /',
  'HEAD /',
  'POST /page/enter',
  'POST /page/leave',
  'GET /page/style.css',
  'HEAD /page/style.css',
  'GET /page/icon.svg',
  'HEAD /page/icon.svg',
]

/** What else belongs to the hidden image, by the path that shows it: its id, and one that does not exist. */
const PARTS: Record<string, { real: string; readonly none: string }> = {
  '/v1/exports/:id': { real: '', none: 'exp_0123456789abcdefghjkmnpqrs' },
  '/v1/tasks/:id': { real: '', none: 'tsk_0123456789abcdefghjkmnpqrs' },
  '/v1/uploads/:id': { real: '', none: 'upl_0123456789abcdefghjkmnpqrs' },
}

let stage: AccessStage
let admin: User
let callers: readonly (readonly [string, User])[] = []
let cid: User
let hidden: Image
let hiddenDigests: string[] = []
let missingDigests: string[] = []
/** What each caller got from each route without parameters before there was a hidden image. */
const before = new Map<string, string>()

beforeAll(async () => {
  stage = await openAccessStage()
  admin = stage.admin
  await stage.upload(admin, 'public', { seed: 1 })
  cid = await stage.user({ name: 'cid', role: 'viewer', subject: 'cid' })
  callers = [
    ['a viewer', await stage.user({ name: 'vic', role: 'viewer' })],
    ['an uploader', await stage.user({ name: 'uli', role: 'uploader' })],
    ['a viewer for a user and a group without a grant', await stage.user({ name: 'bob', role: 'viewer', subject: 'bob', groups: ['dev'] })],
    ['an uploader for a user without a grant', await stage.user({ name: 'bob too', role: 'uploader', subject: 'bob' })],
  ]
  // Compared with what they get once there is a hidden image.
  for (const [name, user] of callers) for (const [path, answer] of await overview(user)) before.set(`${name} ${path}`, answer)
  hidden = await stage.upload(admin, HIDDEN_NAME, { seed: 2, metadata: { owner: 'ann' } })
  await admin.ask('PUT', `/v1/images/${hidden.id}/grants/user:cid`, { set: ['read'] })
  await admin.ask('PUT', `/v1/images/${hidden.id}/bindings/vm-1`)
  const { parts } = stage.table
  await parts.visibility.settled()
  const started = (await admin.ask('POST', `/v1/images/${hidden.id}/exports`, {})).json as Task
  const { result } = await parts.tasks.ended(started.id)
  const made = ((await admin.ask('GET', '/v1/exports')).json as { items: { id: string }[] }).items[0]?.id ?? `no export: ${JSON.stringify(result)}`
  for (const [path, id] of [
    ['/v1/exports/:id', made],
    ['/v1/tasks/:id', started.id],
    ['/v1/uploads/:id', hidden.source.uploadId ?? ''],
  ] as const)
    PARTS[path] = { none: '', ...PARTS[path], real: id }
  const manifest = await manifestOf(parts.catalogue, hidden.id)
  hiddenDigests = Array.from({ length: manifest.count }, (_, i) => formatDigest(manifest.digestAt(i)))
  missingDigests = hiddenDigests.map((_, i) => `sha256:${String(i).padStart(64, '0')}`)
}, 60_000)

afterAll(() => stage[Symbol.asyncDispose]())

/** An answer as text, without what differs between any two requests and without the names that the request had. */
function comparable({ status, headers, text }: Answer): string {
  const shown = [...headers].filter(([name]) => !['x-request-id', 'date'].includes(name)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  let body = text.replaceAll(/"requestId":"[^"]*"/g, '')
  for (const [found, as] of [
    [hidden?.id ?? '', 'ID'],
    [MISSING_ID, 'ID'],
    [HIDDEN_NAME, 'NAME'],
    [MISSING_NAME, 'NAME'],
    ...Object.values(PARTS).flatMap(({ real, none }) => [[real, 'PART'] as const, [none, 'PART'] as const]),
  ] as const)
    if (found !== '') body = body.replaceAll(found, as)
  for (const [i, digest] of hiddenDigests.entries()) body = body.replaceAll(digest, `DIGEST ${i}`).replaceAll(missingDigests[i] ?? digest, `DIGEST ${i}`)
  return JSON.stringify([status, shown, body])
}

function ask(user: User, route: string, idOrName: string, { digests = [], query = '' }: { digests?: readonly string[]; query?: string }): Promise<Answer> {
  const [method = '', pattern = ''] = route.split(' ')
  const part = partOf(pattern)
  const isReal = idOrName === hidden.id || idOrName === HIDDEN_NAME
  const path = pattern
    .replace(':id', part ? part[isReal ? 'real' : 'none'] : idOrName)
    .replace(':subject', 'user:bob')
    .replaceAll(/:\w+/g, 'vm-1')
  const makeBody = BODIES[route]
  return user.ask(
    method,
    path + query,
    makeBody?.(idOrName, digests),
    pattern.startsWith('/v1/uploads') ? { 'tus-resumable': '1.0.0', 'upload-length': '1' } : {},
  )
}

/** The part of the hidden image that a path shows; undefined for other paths. */
function partOf(pattern: string): { readonly real: string; readonly none: string } | undefined {
  return Object.entries(PARTS).find(([path]) => pattern.startsWith(path))?.[1]
}

/** What lists and counts show to a user, by path. */
async function overview(user: User): Promise<[string, string][]> {
  const found: [string, string][] = []
  for (const pattern of Object.keys(ACCESS_TABLE)) {
    if (pattern.includes(':') || !ACCESS_TABLE[pattern]?.['GET'] || pattern === '/v1/tokens') continue
    const queries = QUERIES[`GET ${pattern}`]?.map((make) => make(MISSING_NAME)) ?? []
    for (const query of ['', ...queries]) found.push([pattern + query, steady(pattern, await user.ask('GET', pattern + query))])
  }
  return found
}

/** The part of an answer that depends on images. Space, counts of slices, tasks and requests are those of the whole store (docs/security.md). */
function steady(pattern: string, answer: Answer): string {
  if (pattern === '/metrics')
    return answer.text
      .split('\n')
      .filter((line) => line.startsWith('slipway_images'))
      .join('\n')
  if (pattern === '/v1/health') return JSON.stringify((answer.json as { checks: { name: string; state: string }[] }).checks.map(({ name }) => name))
  if (pattern === '/v1/store') {
    const { images, slices } = answer.json as { images: unknown; slices: { imageBytes: number } }
    return JSON.stringify([images, slices.imageBytes])
  }
  if (pattern === '/v1/events') {
    // Health changes when the machine is busy.
    const { items, next } = answer.json as { items: { type: string }[]; next: string | null }
    return JSON.stringify([items.filter(({ type }) => !type.startsWith('health.')), next])
  }
  // Ages grow, and health changes when the machine is busy.
  if (pattern.startsWith('/page/'))
    return answer.text
      .replaceAll(/<p class="age">.*?<\/p>/g, '')
      .replaceAll(/<tr(?:(?!<\/tr>).)*>health\.\w+<.*?<\/tr>/g, '')
      .replaceAll(/\d+ (?:events?|rows? of \d+)/g, '')
  // The range of a report ends at the present.
  if (pattern === '/v1/usage') return answer.text.replaceAll(/"(?:to|asOf)":"[^"]*"|"requestId":"[^"]*"/g, '')
  if (pattern === '/v1/schedules' || pattern === '/v1/openapi.json') return String(answer.status)
  // The folder of images changes its time when any image is added.
  if (pattern === '/v1/files') return answer.text.replaceAll(/"modifiedAt":"[^"]*"/g, '').replaceAll(/"requestId":"[^"]*"/g, '')
  return answer.text.replaceAll(/"requestId":"[^"]*"/g, '')
}

const ROUTES = Object.entries(ACCESS_TABLE).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))

describe('a hidden image', () => {
  test('is there for those who may see it', async () => {
    for (const [path, { real }] of Object.entries(PARTS)) {
      // Of a finished upload there is the redirect to its image.
      expect([path, (await admin.ask('GET', path.replace(':id', real))).status]).toEqual([path, path.startsWith('/v1/uploads') ? 303 : 200])
    }
    for (const user of [admin, cid]) {
      expect((await user.ask('GET', `/v1/images/${HIDDEN_NAME}`)).status).toBe(200)
      expect((await user.ask('GET', `/v1/images/${hidden.id}/content`)).status).toBe(200)
      expect((await user.ask('POST', '/v1/slices/missing', { digests: hiddenDigests })).json).toEqual({ missing: [] })
    }
    expect(hiddenDigests.length).toBeGreaterThan(1)
  })

  test('has a row for every route that can name it', () => {
    const named = (route: string): boolean => {
      const pattern = route.split(' ')[1] ?? ''
      return /^\/(?:v1|page)\/images\/:id/.test(pattern) || partOf(pattern) !== undefined || route in BODIES || route.replace('HEAD', 'GET') in QUERIES
    }
    expect(ROUTES.filter((route) => !named(route)).toSorted()).toEqual(NAMELESS.toSorted())
  })

  // Before the requests of the other tests, which create uploads.
  test('changes nothing in what lists, counts and cursors show', async () => {
    for (const [name, user] of callers)
      for (const [path, answer] of await overview(user)) {
        expect([name, path, answer]).toEqual([name, path, before.get(`${name} ${path}`) ?? 'nothing'])
      }
  })

  test.each(ROUTES)('cannot be told from a missing one by %s', async (route) => {
    const queries = ['', ...(QUERIES[route.replace('HEAD', 'GET')] ?? [])]
    for (const [name, user] of callers)
      for (const query of queries) {
        const queryFor = (idOrName: string): string => (typeof query === 'string' ? query : query(idOrName))
        for (const [real, none] of [
          [hidden.id, MISSING_ID],
          [HIDDEN_NAME, MISSING_NAME],
        ] as const) {
          if (route.endsWith('/metrics')) continue
          // Another event or check between two reads is no difference between the images: a real one shows every time.
          const both = async (): Promise<[string, string]> => [
            neutral(route, comparable(await ask(user, route, real, { digests: hiddenDigests, query: queryFor(real) }))),
            neutral(route, comparable(await ask(user, route, none, { digests: missingDigests, query: queryFor(none) }))),
          ]
          let [there, missing] = await both()
          for (let i = 0; i < 5 && there !== missing && route.startsWith('GET'); i++) [there, missing] = await both()
          expect([name, there]).toEqual([name, missing])
          expect(there).not.toContain(`"${hidden.id}"`)
        }
      }
  })
})

/** Answers of routes that create or show something else have ids and times of their own. */
function neutral(route: string, text: string): string {
  if (
    [
      'POST /v1/uploads',
      'GET /v1/store',
      'GET /v1/health',
      'HEAD /v1/health',
      'GET /v1/schedules',
      'GET /v1/events',
      'GET /v1/tasks',
      'GET /v1/usage',
    ].includes(route)
  )
    return text
      .replaceAll(/upl_\w+/g, 'UPLOAD')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/\d+/g, '0')
  return text
}
