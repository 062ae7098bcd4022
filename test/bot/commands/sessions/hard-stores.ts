// Stores of the sessions that are at a limit or refuse: site-a keeps its images forever and has more than an answer names, site-b refuses much of what is asked,
// site-c cannot read its mount path, site-d takes no images, site-e takes copies and has them
// afterwards, and site-f has what site-e may take.

import type { Image } from '../../../../protocol/images/image.ts'
import type { Asked, Script } from '../scripted-fleet.ts'
import { page, refuse, storeOf } from '../scripted-fleet.ts'
import { agentOf, at, disconnect, failure, filtered, image, taskOf } from './fleet.ts'

const NAMES = Array.from({ length: 12 }, (_, i) => String(i + 1).padStart(2, '0'))
const uuid = (digit: number): string => `${String(digit).repeat(8)}-2222-4333-8444-555555555555`

/** More than ten images, of which one has more than ten instances and one another copy in site-b. */
const IMAGES_A = NAMES.map((number, i) =>
  image(i + 11, `web-${number}`, {
    length: 200_000_000,
    storedSize: i === 11 ? null : 50_000_000,
    ...(i === 1 && { bindings: NAMES.map((one) => `vm-${one}`) }),
    ...(i === 2 && { bindings: ['vm-30'] }),
    ...(i === 3 && { protected: true }),
    ...(i === 4 && { labels: { tier: 'front' } }),
    ...(i === 5 && { labels: { tier: 'front' }, status: 'degraded' as const, statusReason: 'One slice is damaged.' }),
  }),
)
const TASKS_A = NAMES.slice(1).map((number) => taskOf(`imp${number}`, 'import', 'running'))

/** The recycle bin has more images than a question names. */
const BIN_B = NAMES.slice(1).map((number, i) =>
  image(i + 41, `bin-${number}`, {
    status: 'deleted',
    createdAt: at(i + 1),
    deletedAt: at(30),
    expiresAt: `2026-01-${String(i + 2).padStart(2, '0')}T00:00:00.000Z`,
  }),
)
const IMAGES_B = [
  { ...(IMAGES_A[0] as Image), status: 'degraded' as const, statusReason: 'One slice is damaged.' },
  image(31, 'db-1'),
  image(27, 'db-2', { labels: { tier: 'front' } }),
  image(30, 'db-3', { status: 'creating' }),
  image(24, 'db-5'),
  image(28, 'db-4', { virtualSize: 900_000, bindings: ['vm-40'] }),
]
/** What site-f has: an image that an instance uses, and a copy of one of site-a. */
const IMAGES_F = [
  image(25, 'app-1', { bindings: ['vm-50'] }),
  image(26, 'app-2', { storedSize: 150_000 }),
  { ...(IMAGES_A[3] as Image), protected: false },
  { ...(IMAGES_A[4] as Image), labels: {} },
  image(23, 'disk-f', { kind: 'virtualDisk', bindings: ['vm-60'], requirements: { cpus: 4, memory: 8_000_000_000, disk: null } }),
]
/** Arrives in site-f while its images are copied. */
const LATE = image(62, 'late', { createdAt: at(31) })

const MOUNT = {
  ...{ name: 'mount-path', state: 'failed', measured: 'Input/output error', limit: null },
  ...{ impact: 'No image can be read.', action: 'Mount the file system again.' },
}
const REFUSED: Readonly<Record<string, (asked: Asked) => unknown>> = {
  [`DELETE /images/${IMAGES_B[2]?.id}`]: () => refuse('limit-reached', 'Too much is deleted at once.'),
  [`DELETE /images/${IMAGES_B[4]?.id}`]: () => refuse('limit-reached', 'Too much is deleted at once.'),
  // Restored since the question, refused, and gone: three ways in which a purge leaves an image.
  [`GET /images/${BIN_B[1]?.id}`]: () => ({ ...BIN_B[1], status: 'available', deletedAt: null, expiresAt: null }),
  [`DELETE /images/${BIN_B[2]?.id}`]: () => refuse('wrong-status', 'It is being read.'),
  [`DELETE /images/${BIN_B[3]?.id}`]: disconnect,
  [`PATCH /images/${IMAGES_B[2]?.id}`]: () => refuse('wrong-status', 'It is being read.'),
  [`POST /images/${BIN_B[2]?.id}/restore`]: () => refuse('wrong-status', 'It is being read.'),
  'POST /unique-size': () => refuse('not-found', 'There is nothing at /v1/unique-size.'),
  'POST /sync/grants': ({ body }) =>
    (body as { images: readonly string[] }).images.includes(IMAGES_B[5]?.id ?? '')
      ? refuse('not-found', 'There is no image of this id.')
      : refuse('not-found', 'There is nothing at /v1/sync/grants.'),
  'POST /sync': () => taskOf('bad1', 'sync', 'failed', { createdAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:01.000Z', error: failure }),
  'POST /store/reconcile': () => taskOf('bad2', 'reconcile', 'failed', { endedAt: '2026-01-01T00:00:01.000Z', error: failure }),
}

/** A store that has what was copied to it, and cannot be told two sources at once. */
function receiver(got: Image[]): Script {
  const agent = agentOf('site-e', [], [])
  const rest = agent['*'] as (asked: Asked) => unknown
  return {
    ...agent,
    'GET /images': ({ query }: Asked) => page(filtered(got, query)),
    'GET /tasks': page([
      taskOf('idle1', 'sync', 'succeeded', { endedAt: at(31, 20), result: { images: [], slicesMoved: 0, slicesPresent: 3, bytesMoved: 0 } }),
      taskOf('fast1', 'sync', 'succeeded', {
        ...{ createdAt: at(30), endedAt: '2025-12-30T00:00:10.000Z' },
        result: { images: [], slicesMoved: 9, slicesPresent: 0, bytesMoved: 500_000_000 },
      }),
    ]),
    'GET /store': storeOf({
      ...{ name: 'site-e', id: uuid(7), protocol: { sync: [2], key: 'E'.repeat(43) } },
      capacity: { total: 1e12, used: 9.99e11, free: 2e9, reserved: 1e9, available: 1.6e9 },
    }),
    'POST /sync': ({ body }: Asked) => {
      const { images = [], sources, dryRun } = body as { images?: readonly string[]; sources?: unknown; dryRun?: boolean }
      if (sources !== undefined) return refuse('invalid-input', 'sources is not known.')
      const wanted = [...IMAGES_A, ...IMAGES_B, ...IMAGES_F, LATE].filter(
        ({ id }, i, all) => images.includes(id) && all.findIndex((one) => one.id === id) === i,
      )
      const arrived = dryRun === true ? [] : wanted.filter(({ id }) => got.every((one) => one.id !== id))
      got.push(...arrived.map((one) => ({ ...one, status: 'available' as const, bindings: [] })))
      const outcome = dryRun === true ? 'would-copy' : 'copied'
      return taskOf(dryRun === true ? 'dry1' : 'copy1', 'sync', 'succeeded', {
        ...{ createdAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:02.000Z' },
        result: {
          images: wanted.map(({ id, name }) => ({
            id,
            name,
            outcome,
            bytesMoved: name === 'app-2' ? 1_700_000_000 : 150_000_000,
            bytesPresent: 30_000_000,
            bytesZero: 20_000_000,
          })),
          ...{ slicesMoved: 9, slicesPresent: 3, bytesMoved: 150_000_000 * wanted.length, ...(dryRun === true && { dryRun }) },
        },
      })
    },
    '*': (asked: Asked) => {
      const [, id] = /^GET \/images\/(\w+)$/.exec(asked.request) ?? []
      const found = got.find((one) => one.id === id)
      return found ?? (/^(?:PUT|POST) \/images\/\w+\/bindings/.test(asked.request) ? got[0] : rest(asked))
    },
  }
}

const finding = (digit: number, action: string, bytes: number | null): object => ({
  ...{ id: `fnd_${String(digit).repeat(16)}`, kind: 'unknownFile', target: `images/stray-${digit}`, what: 'A file that no image has.', bytes },
  ...{ since: bytes === null ? null : at(20), action, effect: 'Moves it to quarantine/.' },
})
/** More findings than are listed; of two actions one is refused, and a third finding is gone. */
const FOUND = { findings: [finding(1, 'quarantine', 2_000), finding(2, 'quarantine', null)], counts: { unknownFile: 5 }, absent: [], applied: [] }
const APPLIED = {
  ...{ findings: [], counts: {}, absent: [`fnd_${'3'.repeat(16)}`] },
  applied: [
    { ...finding(1, 'quarantine', 0), outcome: 'done', detail: 'Moved to quarantine/stray-1.' },
    { ...finding(2, 'quarantine', 0), outcome: 'refused', detail: 'It changed meanwhile.' },
  ],
}

/** Scripts of the stores, by name; what one has been sent is known to this one only. */
export function hardStores(): Readonly<Record<string, Script>> {
  const got: Image[] = []
  const keep = agentOf('site-a', IMAGES_A, TASKS_A)['*'] as (asked: Asked) => unknown
  const refusing = agentOf('site-b', [...IMAGES_B, ...BIN_B], [])
  const rest = refusing['*'] as (asked: Asked) => unknown
  return {
    'site-a': {
      ...agentOf('site-a', IMAGES_A, TASKS_A),
      'POST /store/reconcile': ({ body }: Asked) =>
        taskOf('rec1', 'reconcile', 'succeeded', {
          endedAt: '2026-01-01T00:00:01.000Z',
          result: (body as { apply?: unknown }).apply === undefined ? FOUND : APPLIED,
        }),
      '*': (asked: Asked) => (asked.request.startsWith('DELETE /images/') ? { ...(keep(asked) as Image), expiresAt: null } : keep(asked)),
      'GET /store': storeOf({
        ...{ name: 'site-a', id: uuid(3), retention: { deletion: 'never', seconds: 0 }, images: { available: 12, deleted: 0, other: 0 } },
        ...{ uploads: { active: 2 }, kinds: { accepted: ['system', 'base'], configured: [] } },
        networks: { listen: { urls: ['http://10.0.0.1:8080'] }, data: { cidr: null, urls: ['http://10.1.0.1:8080'] }, sync: { cidr: null, urls: [] } },
      }),
    },
    'site-b': {
      ...refusing,
      'GET /store': storeOf({ name: 'site-b', id: uuid(4) }),
      ...Object.fromEntries(Object.entries(REFUSED).map(([key, answer]) => [key, answer])),
      '*': (asked: Asked) => (REFUSED[asked.request] ?? rest)(asked),
    },
    'site-c': {
      ...agentOf('site-c', [image(29, 'ghost')], []),
      'GET /store': storeOf({ name: 'site-c', id: uuid(5), origins: [{ name: 'behind', url: 'http://10.1.0.1:8080', state: 'reachable' }] }),
      'GET /health': { state: 'error', checks: [MOUNT], asOf: '2026-01-01T00:00:00.000Z' },
      'GET /events': page([
        {
          id: '9',
          time: at(31, 9),
          type: 'health.changed',
          severity: 'error',
          subject: 'mount-path',
          message: 'It failed.',
          actor: null,
          details: { state: 'failed' },
        },
      ]),
    },
    'site-d': {
      ...agentOf('site-d', [], []),
      'POST /sync': refuse('feature-disabled', 'Images are switched off in this store.'),
      'GET /store': storeOf({
        ...{ name: 'site-d', id: uuid(6), imagesEnabled: false, kinds: { accepted: ['iso'], configured: ['iso'] } },
        ...{ origins: [{ name: 'up', url: 'http://site-a.example', state: 'unreachable' }], images: { available: 0, deleted: 0, other: 0 } },
      }),
    },
    'site-e': receiver(got),
    'site-f': {
      ...agentOf('site-f', IMAGES_F, []),
      'GET /images': ({ query }: Asked) => page(filtered(got.some(({ name }) => name === 'app-2') ? [...IMAGES_F, LATE] : IMAGES_F, query)),
      'GET /store': storeOf({ name: 'site-f', id: uuid(8), protocol: { sync: [2], key: 'F'.repeat(43) }, images: { available: 3, deleted: 0, other: 0 } }),
    },
  }
}
