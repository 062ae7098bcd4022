// What the page says of the store, its uploads, tasks, events and images, word by word.

import { describe, expect, test } from 'bun:test'
import { eventsView, healthView, imagesView, imageView, tasksView, uploadsView } from '../../../../agent/http/page/views.ts'
import type { Check, Health } from '../../../../protocol/health.ts'
import { imageSchema } from '../../../../protocol/images/image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { storeSchema } from '../../../../protocol/store.ts'
import type { Store } from '../../../../protocol/store.ts'
import { taskSchema } from '../../../../protocol/task.ts'
import type { Task } from '../../../../protocol/task.ts'
import type { Upload } from '../../../../protocol/upload.ts'
import type { View } from '../../../../protocol/views/view.ts'

const NOW = Date.UTC(2026, 0, 2)
const AT = '2026-01-02T03:04:05.000Z'
const SHOWN_AT = '2026-01-02 03:04:05 UTC'

const fieldsOf = ({ fields }: View): string[] => fields.map(({ label, value }) => `${label}: ${value}`)
const cellsOf = ({ rows }: View): unknown => rows.map(({ tone, cells }) => ({ tone, ...cells }))
const keysOf = ({ columns }: View): string[] => columns.map(({ key }) => key)

function check(name: string, state: Check['state'], limit: string | null = null): Check {
  return { name, state, measured: `measured ${name}`, limit, impact: `impact ${name}`, action: `action ${name}` }
}

function healthOf(...checks: Check[]): Health {
  return { state: 'degraded', checks, asOf: AT }
}

function storeOf(more: Partial<Store> = {}): Store {
  return storeSchema.parse({
    ...{ id: '6f6f2b0e-8a0e-4f0e-9a0e-0123456789ab', name: 'alpha', description: '', mount: '/srv/images', zone: '', scope: '' },
    ...{ enabled: true, disabledReason: null, version: '1.2.3' },
    capacity: { total: 4000, used: 1000, free: 3000, reserved: 1000, available: 2000 },
    slices: { count: 3, storedBytes: 500, imageBytes: 1500, savingRatio: 3 },
    images: { available: 4, deleted: 1, other: 0 },
    uploads: { active: 1 },
    transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
    retention: { deletion: 'immediate', seconds: 0 },
    ...more,
  })
}

describe('the store', () => {
  test('has its worst check first, and says how many are not well', () => {
    const view = healthView(healthOf(check('a', 'ok'), check('b', 'unknown'), check('c', 'failed', '5 GB'), check('d', 'warning')), storeOf())
    expect(cellsOf(view)).toEqual([
      { tone: 'bad', check: 'c', state: 'failed', measured: 'measured c', limit: '5 GB', impact: 'impact c', action: 'action c' },
      { tone: 'warning', check: 'd', state: 'warning', measured: 'measured d', limit: '–', impact: 'impact d', action: 'action d' },
      { tone: 'warning', check: 'b', state: 'unknown', measured: 'measured b', limit: '–', impact: 'impact b', action: 'action b' },
      { tone: 'good', check: 'a', state: 'ok', measured: 'measured a', limit: '–', impact: 'impact a', action: 'action a' },
    ])
    expect([view.title, view.text, view.tone, view.asOfMs]).toEqual(['alpha', '3 of 4 checks are not well; the worst comes first.', 'warning', Date.parse(AT)])
    expect(keysOf(view)).toEqual(['check', 'state', 'measured', 'limit', 'impact', 'action'])
  })

  test.each([
    [[check('a', 'ok')], 'Every check is well.'],
    [[check('a', 'failed')], '1 of 1 check is not well; the worst comes first.'],
    [[check('a', 'ok'), check('b', 'warning')], '1 of 2 checks is not well; the worst comes first.'],
  ])('with checks %#', (checks, text) => {
    expect(healthView(healthOf(...checks), storeOf()).text).toBe(text)
  })

  test('shows its space, images, slices and uploads, and nothing for what is not set', () => {
    expect(fieldsOf(healthView(healthOf(), storeOf()))).toEqual([
      'State: Degraded',
      'Space: 2.0 kB available of 4.0 kB',
      'Images: 4 available, 1 in the recycle bin',
      'Slices: 500 B for 1.5 kB of images',
      'Uploads: 1 upload under way',
      'Mount path: /srv/images',
      'Version: 1.2.3',
    ])
  })

  test('shows what is set, and why it is disabled', () => {
    const fields = (more: Partial<Store>): string[] => fieldsOf(healthView(healthOf(), storeOf(more)))
    const set = fields({ description: 'for tests', zone: 'north', scope: 'lab', enabled: false, disabledReason: 'new disks' })
    expect([set[1], set[2]]).toEqual(['Description: for tests', 'Disabled: new disks'])
    expect([set[7], set[8]]).toEqual(['Zone: north', 'Scope: lab'])
    expect(fields({ enabled: false })[1]).toBe('Disabled: An operator disabled the store.')
  })

  test('that cannot be described is a line of its own under a title of its own', () => {
    const view = healthView(healthOf(), undefined)
    expect([view.title, fieldsOf(view)]).toEqual(['Store', ['State: Degraded', 'Store: The agent cannot describe its store now. The checks say why.']])
    expect(view.fields[1]?.isLine).toBe(true)
  })
})

function uploadOf(more: Partial<Upload> = {}): Upload {
  return {
    ...{ id: 'upl_1', kind: 'whole', state: 'uploading', stateReason: 'It arrives.', offset: 250, length: 1000, rate: 0, etaSeconds: null, name: 'debian' },
    ...{ imageId: 'img_1', owner: null, creator: 'ann', device: null, filename: null, createdAt: AT, activeAt: AT, expiresAt: null, ...more },
  }
}

describe('uploads', () => {
  test('are rows with their progress', () => {
    const view = uploadsView([uploadOf({ rate: 1500.4, etaSeconds: 90 }), uploadOf({ state: 'pending', length: null, name: null, imageId: null })], NOW)
    expect(view.text).toBe('2 uploads under way, newest first')
    expect(cellsOf(view)).toEqual([
      {
        ...{ tone: 'good', name: 'debian', state: 'Uploading', reason: 'It arrives.', progress: '25 % of 1.0 kB, 1 min 30 s left', rate: '1.5 kB/s' },
        ...{ by: 'ann', started: SHOWN_AT, upload: 'upl_1', id: 'img_1' },
      },
      {
        ...{ tone: 'plain', name: 'part of a concatenation', state: 'Pending', reason: 'It arrives.', progress: '250 B of a length that is not known yet' },
        ...{ rate: '–', by: 'ann', started: SHOWN_AT, upload: 'upl_1' },
      },
    ])
    expect(keysOf(view)).toEqual(['name', 'state', 'reason', 'progress', 'rate', 'by', 'started', 'upload'])
  })

  test('at a rate below a byte per second have a rate, and without a forecast no time', () => {
    const [row] = uploadsView([uploadOf({ rate: 1 })], NOW).rows
    expect([row?.cells['rate'], row?.cells['progress']]).toEqual(['1 B/s', '25 % of 1.0 kB'])
  })

  test('may be none', () => {
    expect(uploadsView([], NOW).text).toBe('No uploads are under way.')
  })
})

function taskOf(more: Readonly<Record<string, unknown>> = {}): Task {
  return taskSchema.parse({
    ...{ id: 'tsk_1', kind: 'sync', state: 'running', subject: 'img_1', createdBy: 'ann', createdAt: AT, endedAt: null },
    progress: { done: 1, total: 4, unit: 'images', rate: 0, etaSeconds: null },
    ...more,
  })
}

describe('tasks', () => {
  test('are rows, and those that run have a bar', () => {
    const error = { type: 'about:blank', title: 'Conflict', status: 409, detail: 'The image is gone.', action: 'Sync again.' }
    const tasks = [taskOf({ detail: 'It waits.' }), taskOf({ state: 'failed', endedAt: AT, detail: 'It waited.', error }), taskOf({ state: 'queued' })]
    const view = tasksView(tasks, 'alpha', NOW)
    expect(view.text).toBe('3 tasks, newest first')
    expect(view.progress).toEqual([{ store: 'alpha', task: tasks[0] as Task }])
    const shared = { kind: 'sync', subject: 'img_1', by: 'ann', started: SHOWN_AT, progress: '1 of 4 images (25 %)' }
    expect(cellsOf(view)).toEqual([
      { ...shared, tone: 'plain', state: 'running', detail: 'It waits.', ended: '–' },
      { ...shared, tone: 'bad', state: 'failed', detail: 'The image is gone.', ended: SHOWN_AT },
      { ...shared, tone: 'plain', state: 'queued', detail: '', ended: '–' },
    ])
    expect(keysOf(view)).toEqual(['kind', 'state', 'subject', 'progress', 'detail', 'by', 'started', 'ended'])
  })

  test('may be none', () => {
    expect(tasksView([], 'alpha', NOW).text).toBe('No tasks.')
  })
})

describe('events', () => {
  test('are rows with their severity', () => {
    const event = {
      id: '7',
      time: AT,
      type: 'image.available',
      severity: 'error',
      subject: 'img_1',
      message: 'It is there.',
      actor: 'ann',
      details: {},
    } as const
    const view = eventsView([event], NOW)
    expect([view.text, cellsOf(view)]).toEqual([
      '1 event, newest first',
      [{ tone: 'bad', time: SHOWN_AT, severity: 'error', type: 'image.available', message: 'It is there.', by: 'ann', subject: 'img_1' }],
    ])
    expect(keysOf(view)).toEqual(['time', 'severity', 'type', 'message', 'by', 'subject'])
  })

  test('may be none', () => {
    expect(eventsView([], NOW).text).toBe('No events.')
  })
})

function imageOf(more: Readonly<Record<string, unknown>> = {}): Image {
  return imageSchema.parse({
    ...{ id: 'img_1', name: 'debian', description: '', kind: 'system', format: null, status: 'available', statusReason: null, digest: null },
    ...{ manifestDigest: null, length: 1000, virtualSize: null, storedSize: null, uniqueSize: null, os: null, cloudInit: null, requirements: null },
    ...{ mediaGroup: null, owner: null, source: { kind: 'upload' }, protected: false, bindings: [], grants: [], createdAt: AT },
    ...{ availableAt: null, deletedAt: null, expiresAt: null, ...more },
  })
}

describe('an image', () => {
  test('of which little is known shows no more', () => {
    const view = imageView(imageOf(), NOW)
    expect([view.title, view.text, view.tone]).toEqual(['debian', '', 'good'])
    expect(fieldsOf(view)).toEqual([
      'Status: Available',
      'Id: img_1',
      'Kind: system',
      'Format: –',
      'Length: 1.0 kB',
      'Virtual size: –',
      'Stored size: –',
      'SHA-256: being computed in the background',
      'Owner: –',
      'Protected: no',
      'In use by: nothing',
      `Created: ${SHOWN_AT}`,
      'Published: –',
    ])
    expect(view.fields.flatMap(({ label, isLine }) => (isLine ? [label] : []))).toEqual(['SHA-256', 'In use by'])
  })

  test('of which all is known shows it', () => {
    const known = {
      ...{ description: 'a system', format: 'qcow2', status: 'deleted', statusReason: 'It is in the recycle bin.', digest: 'sha256:00', virtualSize: 2000 },
      ...{ storedSize: 0, uniqueSize: 0, os: 'Debian', mediaGroup: 'base', owner: 'bob', protected: true, bindings: ['vm-1', 'vm-2'] },
      ...{ availableAt: AT, deletedAt: AT, expiresAt: AT },
    }
    const view = imageView(imageOf(known), NOW)
    expect(view.text).toBe('It is in the recycle bin.')
    expect(fieldsOf(view)).toEqual([
      'Status: Deleted',
      'Id: img_1',
      'Description: a system',
      'Kind: system',
      'Format: qcow2',
      'Length: 1.0 kB',
      'Virtual size: 2.0 kB',
      'Stored size: 0 B',
      'Deleting frees: 0 B',
      'SHA-256: sha256:00',
      'Operating system: Debian',
      'Media group: base',
      'Owner: bob',
      'Protected: yes',
      'In use by: vm-1, vm-2',
      `Created: ${SHOWN_AT}`,
      `Published: ${SHOWN_AT}`,
      `Deleted: ${SHOWN_AT}`,
      `Deleted for good: ${SHOWN_AT}`,
    ])
  })

  test('is a row of the list', () => {
    const view = imagesView([imageOf({ storedSize: 10 })], NOW)
    expect([view.text, cellsOf(view)]).toEqual([
      '',
      [
        {
          ...{ tone: 'good', name: 'debian', status: 'Available', kind: 'system', format: '–', length: '1.0 kB', storedSize: '10 B', owner: '–' },
          ...{ createdAt: SHOWN_AT, id: 'img_1' },
        },
      ],
    ])
    expect([keysOf(view), imagesView([], NOW).text]).toEqual([
      ['name', 'status', 'kind', 'format', 'length', 'storedSize', 'owner', 'createdAt'],
      'No image passes the filter.',
    ])
  })
})
