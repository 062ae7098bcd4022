// The fleet of the sessions: edge-a has something of everything, edge-b is degraded and nearly full, and edge-c does not answer.

import type { Image } from '../../../../protocol/images/image.ts'
import { changeable } from './settings.ts'
import { imageOf, openScriptedFleet, page, refuse, storeOf } from '../scripted-fleet.ts'
import type { Asked, Script, ScriptedFleet } from '../scripted-fleet.ts'

export const at = (day: number, hour = 0): string => new Date(Date.UTC(2025, 11, day, hour)).toISOString()
export const idOf = (kind: string, word: string): string => `${kind}_${word.padEnd(26, '0')}`
const digest = (text: string): string => `sha256:${text.padEnd(64, '0')}`
export const image = (number: number, name: string, members: Partial<Image> = {}): Image =>
  imageOf(number, { name, createdAt: at(number), availableAt: at(number, 1), digest: digest(`d${number}`), manifestDigest: digest(`a${number}`), ...members })

const DEBIAN = image(1, 'debian', {
  ...{ owner: 'ann', os: 'debian-12', protected: true, bindings: ['vm-7', 'vm-8'], labels: { env: 'production' }, description: 'Base of the web servers' },
  ...{ requirements: { cpus: 2, memory: 2_147_483_648, disk: null }, cloudInit: true, uniqueSize: 50_000 },
})
const ALPINE = image(2, 'alpine', { kind: 'base', format: 'qcow2', mediaGroup: 'base', cloudInit: false, uniqueSize: 200_000 })
const IMAGES_A = [
  DEBIAN,
  ALPINE,
  image(3, 'old', { status: 'deleted', deletedAt: at(30), expiresAt: '2026-01-02T00:00:00.000Z' }),
  image(4, 'broken', { status: 'error', statusReason: 'Its digest differs.', uniqueSize: 0 }),
  image(5, 'incoming', { status: 'uploading', availableAt: null, digest: null, storedSize: null, virtualSize: null, format: null }),
  image(6, 'secret', { owner: 'carol', mediaGroup: 'backroom', hidden: true, grants: [{ subject: 'user:bob', rights: ['read', 'use'] }] }),
  image(9, 'twin', { sourceInstance: 'vm-9', kind: 'capture' }),
]
const IMAGES_B = [
  { ...DEBIAN, bindings: [], protected: false, status: 'degraded' as const, statusReason: 'One slice is damaged.' },
  image(7, 'lost', { status: 'fileUnavailable', statusReason: 'The file is gone.' }),
  image(8, 'kept', { status: 'deleted', deletedAt: at(29) }),
  image(10, 'twin', { storedSize: 150_000 }),
]

export const taskOf = (word: string, kind: string, state: string, members: object = {}): Readonly<Record<string, unknown>> => ({
  ...{ id: idOf('tsk', word), kind, state, subject: 'edge-a', createdBy: 'admin', createdAt: at(31, 20), endedAt: null },
  progress: { done: 1, total: 4, unit: 'slices', rate: 0, etaSeconds: null },
  ...members,
})
const syncResult = {
  ...{ slicesMoved: 3, slicesPresent: 1, bytesMoved: 4_000_000, bytesAvoided: 2_000_000 },
  images: [{ id: DEBIAN.id, name: 'debian', outcome: 'copied', bytesMoved: 4_000_000, bytesPresent: 1_500_000, bytesZero: 500_000 }],
  sources: [{ url: 'http://edge-a.example', storeId: null, slicesMoved: 3, bytesMoved: 4_000_000, bytesPerSecond: 1_000_000, faults: 1, fault: null }],
}
export const failure = {
  type: 'https://slipway.example/problems/internal',
  title: 'It failed',
  status: 500,
  code: 'internal',
  detail: 'The disk is full.',
  action: 'Free some space.',
}
const TASKS_A = [
  taskOf('sync1', 'sync', 'running', { subject: DEBIAN.id, progress: { done: 3_000_000, total: 6_000_000, unit: 'bytes', rate: 1_000_000, etaSeconds: 3 } }),
  taskOf('gc1', 'gc', 'queued', { createdAt: at(31, 21) }),
  taskOf('paused1', 'sync', 'running', { pausedAt: at(31, 22), detail: 'Paused by ann.', createdAt: at(31, 19) }),
  taskOf('scrub1', 'scrub', 'failed', { endedAt: at(31, 23), error: failure, createdAt: at(31, 18) }),
  taskOf('done1', 'sync', 'succeeded', { endedAt: at(31, 23), result: syncResult, subject: DEBIAN.id, createdAt: at(31, 17) }),
  taskOf('stop1', 'import', 'cancelled', { endedAt: at(31, 23), subject: ALPINE.id, createdAt: at(31, 16) }),
]
const TASKS_B = [
  taskOf('clean1', 'cleanup', 'running', {
    subject: 'edge-b',
    createdAt: at(31, 22),
    progress: { done: 5, total: null, unit: 'steps', rate: 2, etaSeconds: null },
  }),
]

const uploadOf = (word: string, members: object): object => ({
  ...{
    id: idOf('upl', word),
    kind: 'whole',
    state: 'uploading',
    stateReason: 'Bytes arrive.',
    offset: 250_000,
    length: 1_000_000,
    rate: 50_000,
    etaSeconds: 15,
  },
  ...{ name: 'incoming', imageId: IMAGES_A[4]?.id, owner: 'ann', creator: 'bot', device: 'laptop', filename: 'in.raw' },
  ...{ createdAt: at(31, 23), activeAt: at(31, 23), expiresAt: '2026-01-03T00:00:00.000Z', ...members },
})
const UPLOADS = [
  uploadOf('one', {}),
  uploadOf('two', {
    state: 'pending',
    stateReason: 'Waits for its client.',
    rate: 0,
    etaSeconds: null,
    length: null,
    name: 'later',
    device: null,
    imageId: idOf('img', 'two'),
  }),
  uploadOf('part', { kind: 'partial', name: null, imageId: null, filename: null, expiresAt: null }),
]
const exportOf = (word: string, members: object): object => ({
  ...{
    id: idOf('exp', word),
    image: DEBIAN.id,
    imageName: 'debian',
    as: null,
    state: 'ready',
    name: 'debian.raw',
    path: 'exports/debian.raw',
    length: 600_000,
  },
  ...{ task: null, createdBy: 'ann', createdAt: at(31, 1), readyAt: at(31, 2), ...members },
})
const EXPORTS = [
  exportOf('ready', {}),
  exportOf('vhd', { as: 'vhd', state: 'writing', name: 'debian.vhd', path: 'exports/debian.vhd', length: null, readyAt: null, task: idOf('tsk', 'export1') }),
]
const TOKENS = [
  {
    id: 'tok_aaaa1',
    name: 'ci',
    role: 'uploader',
    subject: 'ann',
    groups: ['web'],
    grant: null,
    createdAt: at(1),
    expiresAt: '2026-01-05T00:00:00.000Z',
    lastUsedAt: at(31, 23),
  },
  { id: 'tok_aaab2', name: 'bot', role: 'admin', subject: null, groups: [], grant: null, createdAt: at(1), expiresAt: null, lastUsedAt: null },
  { id: 'tok_gone3', name: 'past', role: 'viewer', subject: null, groups: [], grant: null, createdAt: at(1), expiresAt: at(20), lastUsedAt: at(19) },
  {
    ...{ id: 'tok_sync4', name: 'sync', role: 'viewer', subject: null, groups: [], createdAt: at(30), expiresAt: '2026-01-03T00:00:00.000Z', lastUsedAt: null },
    grant: { images: [DEBIAN.id], target: '22222222-2222-4333-8444-555555555555', createdBy: 'bot for ann' },
  },
]
const linkOf = (word: string, members: object): object => ({
  ...{ id: `lnk_${word}`, state: 'open', name: 'fresh', draft: { os: 'debian-12' }, maxLength: 5_000_000, createdBy: 'bot for ann', createdAt: at(31, 23) },
  ...{ expiresAt: '2026-01-01T02:00:00.000Z', endedAt: null, uploadId: null, imageId: null, ...members },
})
const LINKS = [
  linkOf('open1', {}),
  linkOf('used2', { state: 'used', uploadId: idOf('upl', 'one'), imageId: IMAGES_A[4]?.id, name: null, maxLength: null, draft: {} }),
  linkOf('done3', { state: 'completed', imageId: DEBIAN.id, endedAt: at(31, 23), expiresAt: at(31, 23) }),
]
const scheduleOf = (name: string, members: object): object => ({
  ...{
    name,
    cron: '0 3 * * *',
    timezone: 'UTC',
    paused: false,
    running: false,
    lastRunAt: at(31, 3),
    lastResult: 'Removed 2 files.',
    lastTaskId: idOf('tsk', 'old1'),
  },
  ...{ nextRunAt: '2026-01-01T03:00:00.000Z', ...members },
})
const SCHEDULES = [
  scheduleOf('cleanup', {}),
  scheduleOf('scrub', { paused: true, nextRunAt: null, lastRunAt: null, lastResult: null, lastTaskId: null }),
  scheduleOf('expire', { running: true }),
]
const eventOf = (number: number, type: string, severity: string, subject: string, message: string): object => ({
  ...{ id: String(number), time: at(31, number), type, severity, subject, message, actor: 'bot for ann', details: {} },
})
const EVENTS = [
  eventOf(12, 'image.available', 'info', DEBIAN.id, 'debian is available.'),
  eventOf(11, 'store.degraded', 'warning', 'edge-a', 'A check has a warning.'),
  eventOf(10, 'scrub.failed', 'error', idOf('tsk', 'scrub1'), 'The scrub failed.'),
]
const HOST_KEYS = [
  { host: 'files.example:22', algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}`, pinnedAt: at(2), offered: null },
  {
    ...{ host: 'moved.example:22', algorithm: 'ssh-rsa', fingerprint: `SHA256:${'B'.repeat(43)}`, pinnedAt: at(3) },
    offered: { algorithm: 'ssh-ed25519', fingerprint: `SHA256:${'C'.repeat(43)}`, firstAt: at(31, 20) },
  },
]
const GROUPS = [
  { name: 'base', description: 'What others start from', visible: true, images: 1 },
  { name: 'backroom', description: '', visible: false, images: 2 },
]
const sum = (gbHours: string, cost: string | null): object => ({ gbHours, storedGbHours: '0.2', cost, byteMilliseconds: '3600' })
const USAGE = {
  ...{
    from: at(1),
    to: '2026-01-01T00:00:00.000Z',
    asOf: '2026-01-01T00:00:00.000Z',
    pricePerGbMonth: '0.05',
    total: sum('1.5', '0.75'),
    damagedRecords: 1,
    next: null,
  },
  months: [{ month: '2025-12', hours: 744, ...sum('1.5', '0.75') }],
  items: [
    {
      ...{ month: '2025-12', imageId: DEBIAN.id, name: 'debian', kind: 'system', owner: 'ann', from: at(1), to: at(31), length: 600_000, storedSize: 200_000 },
      ...{ gbHours: '1', storedGbHours: '0.1', cost: '0.5' },
    },
    {
      ...{ month: '2025-12', imageId: ALPINE.id, name: 'alpine', kind: 'base', owner: null, from: at(2), to: at(31), length: 300_000, storedSize: null },
      ...{ gbHours: '0.5', storedGbHours: '0.1', cost: '0.25' },
    },
  ],
}
const FILES = [
  { name: 'images', kind: 'folder', length: 0, modifiedAt: at(30) },
  { name: 'note.txt', kind: 'file', length: 1_500, modifiedAt: at(31) },
  { name: 'pipe', kind: 'other', length: 0, modifiedAt: at(29) },
]
const finding = {
  kind: 'unknownFile',
  target: 'images/stray',
  what: 'A file that no image has.',
  bytes: 2_000,
  since: at(20),
  action: 'quarantine',
  effect: 'Moves it to quarantine/.',
}
const RECONCILED = {
  ...{ findings: [{ id: 'fnd_0123456789abcdef', ...finding }], counts: { unknownFile: 1 }, absent: [] },
  applied: [],
}

export const filtered = (images: readonly Image[], { status, name, search, kind, owner, label }: Readonly<Record<string, string>>): readonly Image[] =>
  images.filter(
    (one) =>
      (status === undefined ? one.status !== 'deleted' : one.status === status) &&
      (name === undefined || one.name.includes(name)) &&
      (search === undefined || one.name.includes(search)) &&
      (kind === undefined || one.kind === kind) &&
      (owner === undefined || one.owner === owner) &&
      (label === undefined || isLabelled(one, label)),
  )

/** Whether an image has a label `key=value`, or the key alone. */
function isLabelled({ labels }: Image, label: string): boolean {
  const [key = '', value] = label.split('=')
  return key in labels && (value === undefined || labels[key] === value)
}

/** Answers for single images and tasks, and for what changes them. */
export function agentOf(name: string, images: readonly Image[], tasks: readonly Readonly<Record<string, unknown>>[]): Script {
  const started = (kind: string, members: object = {}): unknown =>
    taskOf('new1', kind, 'succeeded', { createdAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:05.000Z', subject: name, ...members })
  return {
    'GET /images': ({ query }: Asked) => page(filtered(images, query)),
    'GET /tasks': ({ query }: Asked) => page(tasks.filter(({ state, kind }) => (query['state'] ?? state) === state && (query['kind'] ?? kind) === kind)),
    'POST /unique-size': { uniqueSize: 123_000 },
    'POST /store/cleanup': started('cleanup', { result: { removed: 2, freedBytes: 5_000 } }),
    'POST /store/reconcile': ({ body }: Asked) => {
      const { apply = [] } = body as { apply?: readonly string[] }
      const applied = apply.map((id) => ({
        id,
        kind: finding.kind,
        target: finding.target,
        action: finding.action,
        outcome: 'done',
        detail: 'Moved to quarantine/stray.',
      }))
      return started('reconcile', { result: apply.length === 0 ? RECONCILED : { findings: [], counts: {}, absent: [], applied } })
    },
    'POST /sync/grants': { id: 'tok_grant9', token: 'slg_secret', expiresAt: '2026-01-02T00:00:00.000Z' },
    'POST /sync': started('sync', { result: syncResult }),
    'POST /links': ({ body }: Asked) => ({
      id: 'lnk_new1',
      url: `http://${name}.example/l/secret`,
      expiresAt: '2026-01-01T01:00:00.000Z',
      kind: 'upload',
      ...((body as { kind: string }).kind === 'download' && { kind: 'download' }),
    }),
    'POST /tokens': ({ body }: Asked) => ({ ...TOKENS[1], ...(body as object), id: 'tok_new1', token: 'slp_secret', expiresAt: null }),
    'POST /media-groups': ({ body }: Asked) => ({ description: '', visible: true, images: 0, ...(body as object) }),
    'POST /images': ({ body }: Asked) =>
      (body as { dryRun?: boolean }).dryRun
        ? {
            ...{ dryRun: true, source: { kind: 'url', location: 'http://mirror.example/x.raw', filename: 'x.raw', length: 700_000, canResume: true } },
            ...{ image: { name: 'fetched' }, space: { neededBytes: 700_000, availableBytes: 5e9 } },
            ...{ limits: { lengthMax: 1e12, imagesPerOwnerMax: 0, bytesPerOwnerMax: 0 }, objections: [] },
          }
        : started('import', { subject: DEBIAN.id, result: { image: DEBIAN.id, name: 'fetched', length: 700_000, verification: 'none' } }),
    '*': ({ request, body }: Asked): unknown => answerOne(name, { request, body, images, tasks, started }),
  }
}

interface One {
  readonly request: string
  readonly body: unknown
  readonly images: readonly Image[]
  readonly tasks: readonly Readonly<Record<string, unknown>>[]
  started(kind: string, members?: object): unknown
}

function answerOne(name: string, { request, body, images, tasks, started }: One): unknown {
  const { method, noun, id, rest = '' } = /^(?<method>\w+) \/(?<noun>[\w-]+)\/(?<id>[^/]+)(?:\/(?<rest>.*))?$/.exec(request)?.groups ?? {}
  const found = images.find((one) => one.id === id)
  const task = tasks.find((one) => one['id'] === id)
  if (noun === 'images' && found) {
    if (method === 'DELETE' && rest === '') return { ...found, status: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-04T00:00:00.000Z' }
    if (rest === 'restore') return { ...found, status: 'available', deletedAt: null, expiresAt: null }
    if (rest === 'exports') {
      const plan = {
        dryRun: true,
        image: id,
        imageName: found.name,
        as: null,
        path: `exports/${found.name}.raw`,
        length: 600_000,
        space: { neededBytes: 600_000, availableBytes: 5e9 },
        objections: [],
      }
      return (body as { dryRun?: boolean }).dryRun
        ? plan
        : started('export', { result: { exportId: idOf('exp', 'ready'), name: 'debian.raw', path: 'exports/debian.raw', length: 600_000 } })
    }
    return method === 'PATCH' ? { ...found, ...(body as object) } : found
  }
  if (noun === 'tasks' && task) {
    if (method === 'GET') return task
    if (rest === 'cancel') return { ...task, state: 'cancelled', endedAt: '2026-01-01T00:00:00.000Z' }
    return rest === 'pause' ? { ...task, pausedAt: '2026-01-01T00:00:00.000Z' } : { ...task, pausedAt: undefined }
  }
  if (noun === 'schedules') return rest === 'run' ? started(id ?? '') : { ...scheduleOf(id ?? '', {}), ...(body as object) }
  if (noun === 'media-groups' && method === 'PATCH') return { ...GROUPS[0], ...(body as object) }
  if (noun === 'tokens' && rest === 'rotate') return { ...TOKENS[0], token: 'slp_rotated' }
  if (noun === 'store') return request.startsWith('PATCH') || method === 'POST' ? storeOf({ name, enabled: id !== 'disable' }) : undefined
  if (request === 'PATCH /store') return storeOf({ name, description: (body as { description?: string }).description ?? '' })
  return method === 'DELETE' ? new Response(null, { status: 204 }) : refuse('not-found', `There is nothing at ${request}.`)
}

const CHECKS = [
  {
    name: 'space',
    state: 'warning',
    measured: '5 GB free',
    limit: '10 GB',
    impact: 'Uploads will be refused soon.',
    action: 'Delete images.',
    failsAt: '2026-01-04T00:00:00.000Z',
  },
  { name: 'clock', state: 'ok', measured: '2 ms', limit: null, impact: '', action: '' },
]

export function disconnect(): never {
  throw new TypeError('connection refused')
}

/** Opens a fleet of these stores; `others` are stores beside edge-a, edge-b and edge-c. */
export function openSessionFleet(names: readonly string[], others: Readonly<Record<string, Script>> = {}): ScriptedFleet {
  const scripts: Readonly<Record<string, Script>> = {
    ...others,
    'edge-a': {
      ...agentOf('edge-a', IMAGES_A, TASKS_A),
      ...changeable({ name: 'edge-a', description: 'The first one', imagesEnabled: true, scrubbedAt: at(28), reserve: { bytes: 1e9, configured: 2e9 } }),
      'GET /health': { state: 'running', checks: [{ ...CHECKS[1] }], asOf: '2026-01-01T00:00:00.000Z' },
      ...{ 'GET /uploads': page(UPLOADS), 'GET /exports': page(EXPORTS), 'GET /tokens': page(TOKENS), 'GET /links': page(LINKS) },
      ...{ 'GET /schedules': page(SCHEDULES), 'GET /events': page(EVENTS), 'GET /host-keys': page(HOST_KEYS), 'GET /media-groups': page(GROUPS) },
      ...{ 'GET /usage': USAGE, 'GET /files': page(FILES) },
    },
    'edge-b': {
      ...agentOf('edge-b', IMAGES_B, TASKS_B),
      'GET /store': storeOf({
        ...{ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555', version: '0.0.9', enabled: false, disabledReason: 'A new disk comes.' },
        ...{ capacity: { total: 1e12, used: 9.95e11, free: 5e9, reserved: 1e10, available: -5e9 }, retention: { deletion: 'immediate', seconds: 0 } },
        ...{ images: { available: 2, deleted: 1, other: 1 }, uploads: { active: 1 }, slices: { count: 0, storedBytes: 0, imageBytes: 0, savingRatio: null } },
      }),
      'GET /health': { state: 'degraded', checks: CHECKS, asOf: '2026-01-01T00:00:00.000Z' },
      ...{ 'GET /uploads': page([]), 'GET /exports': page([]), 'GET /tokens': page([]), 'GET /links': page([]) },
      ...{ 'GET /schedules': page([]), 'GET /events': page([]), 'GET /host-keys': page([]), 'GET /media-groups': page([{ ...GROUPS[0], visible: false }]) },
    },
    'edge-c': { 'GET /store': disconnect, 'GET /health': disconnect, '*': disconnect },
  }
  return openScriptedFleet(scripts, { registered: names.filter((name) => name in scripts), approvalRule: 'on' })
}
