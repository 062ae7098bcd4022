// What people read about stores, uploads and tasks: folders, checks, what depends on a store, and progress.

import { describe, expect, test } from 'bun:test'
import { list } from '../../../../bot/commands/store/delete/delete-checks.ts'
import type { View } from '../../../../protocol/views/view.ts'
import type { Task } from '../../../../protocol/task.ts'
import type { Upload } from '../../../../protocol/upload.ts'
import { imageOf, openScriptedFleet, page, storeOf } from '../scripted-fleet.ts'
import type { Asked } from '../scripted-fleet.ts'

const cellsOf = (view: View): string[][] => view.rows.map(({ cells }) => view.columns.map(({ key }) => cells[key] ?? ''))
const fieldsOf = (view: View): Record<string, string> => Object.fromEntries(view.fields.map(({ label, value }) => [label, value]))

describe('store browse', () => {
  const files = page([
    { name: 'images', kind: 'folder', length: 0, modifiedAt: '2026-01-01T00:00:00.000Z' },
    { name: 'a b', kind: 'folder', length: 0, modifiedAt: '2026-01-02T00:00:00.000Z' },
    { name: 'store.json', kind: 'file', length: 512, modifiedAt: '2026-01-01T00:00:00.000Z' },
  ])
  const open = (stores = ['edge-a'], next: string | null = null) =>
    openScriptedFleet(Object.fromEntries(stores.map((name) => [name, { 'GET /files': ({ query }: Asked) => ({ ...files, next, path: query['path'] }) }])))

  test('lists a folder, with a button for each folder in it', async () => {
    using it = open()
    const view = await it.run('store browse edge-a')
    expect([view.title, view.text, view.notes]).toEqual(['edge-a:/', '3 entries', []])
    expect(cellsOf(view)).toEqual([
      ['images/', 'folder', '0 B', '2026-01-01 00:00:00 UTC'],
      ['a b/', 'folder', '0 B', '2026-01-02 00:00:00 UTC'],
      ['store.json', 'file', '512 B', '2026-01-01 00:00:00 UTC'],
    ])
    expect(view.actions.map(({ command }) => command)).toEqual(['store browse edge-a images', 'store browse edge-a "a b"'])
    const below = await it.run('store browse edge-a images/x//')
    expect([below.title, below.actions[0]?.command]).toEqual(['edge-a:/images/x', 'store browse edge-a images/x/images'])
  })

  test('takes one word as the path when there is one store, and as the store otherwise', async () => {
    using it = open()
    expect((await it.run('store browse images')).title).toBe('edge-a:/images')
    expect((await it.run('store browse')).title).toBe('edge-a:/')
    using two = open(['edge-a', 'edge-b'])
    expect((await two.run('store browse edge-b')).title).toBe('edge-b:/')
    expect((await two.run('store browse edge-b images')).title).toBe('edge-b:/images')
    expect((await two.run('store browse images')).text).toBe('No store is called "images".')
  })

  test.each(['uploads', 'sync', 'exports', 'inbox', 'quarantine', './uploads', '/uploads/upl_1', '//sync/'])('of %s is for operators', async (path) => {
    using it = open()
    for (const line of [`store browse edge-a ${path}`, `store browse ${path}`]) {
      expect((await it.run(line, { role: 'viewer' })).text).toMatch(/^Only operators can list the folder (uploads|sync|exports|inbox|quarantine)\.$/)
      expect((await it.run(line, { role: 'uploader' })).outcome).toBe('failed')
      expect((await it.run(line, { role: 'operator' })).outcome).toBe('done')
    }
    expect((await it.run('store browse edge-a packs/uploads', { role: 'viewer' })).outcome).toBe('done')
  })

  test('says that a folder has more', async () => {
    using it = open(['edge-a'], 'more')
    expect((await it.run('store browse edge-a')).notes).toEqual(['Only the first 1000 entries are shown.'])
  })
})

describe('store health', () => {
  const check = (name: string, state: string) => ({
    name,
    state,
    measured: `${name} measured`,
    limit: null,
    impact: `${name} impact.`,
    action: `${name} action.`,
  })
  const open = (state: string, ...checks: unknown[]) => openScriptedFleet({ 'edge-a': { 'GET /health': { state, checks, asOf: '2026-01-01T00:00:00.000Z' } } })

  test.each([
    ['running', 'edge-a is Running.', 'good', []],
    ['degraded', 'edge-a is Degraded.', 'warning', ['store reconnect edge-a', 'store evidence edge-a', 'alert silence edge-a for=2h']],
    ['error', 'edge-a is Error.', 'bad', ['store reconnect edge-a', 'store evidence edge-a', 'alert silence edge-a for=2h']],
  ])('of a store that is %s', async (state, text, tone, actions) => {
    using it = open(state, check('clock', 'ok'))
    const view = await it.run('store health edge-a')
    expect<unknown[]>([view.text, view.tone, view.actions.map(({ command }) => command)]).toEqual([text, tone, actions])
    expect(cellsOf(view)).toEqual([['clock', 'ok', 'clock measured', '–']])
    expect(view.rows[0]?.tone).toBe('good')
  })

  test('names failed checks before warnings, with impact and next step', async () => {
    using it = open('error', check('clock', 'warning'), check('index', 'unknown'), check('mount-path', 'failed'), check('free-space', 'failed'))
    const view = await it.run('store health edge-a')
    expect(fieldsOf(view)).toMatchObject({
      Finding: 'mount-path: mount-path measured; free-space: free-space measured; clock: clock measured',
      Impact: 'mount-path impact. free-space impact. clock impact.',
      Next: 'mount-path action. free-space action. clock action.',
    })
    expect(view.rows.map(({ tone }) => tone)).toEqual(['warning', 'plain', 'bad', 'bad'])
  })
})

describe('what depends on a store', () => {
  test('is named up to ten, and then counted', () => {
    const names = Array.from({ length: 12 }, (_, i) => `n${i + 1}`)
    expect(list(names.slice(0, 10))).toBe('n1, n2, n3, n4, n5, n6, n7, n8, n9, n10')
    expect(list(names.slice(0, 11))).toBe('n1, n2, n3, n4, n5, n6, n7, n8, n9, n10 and 1 more')
    expect(list(names.slice(0, 2), 5)).toBe('n1, n2 and 3 more')
    expect([list([]), list(['a'])]).toEqual(['', 'a'])
  })

  test('is shown before it is deleted', async () => {
    const images = [imageOf(1, { bindings: ['vm-1'] }), imageOf(2, { status: 'deleting', bindings: ['vm-2'] }), imageOf(3)]
    using it = openScriptedFleet({
      'edge-a': { 'GET /store': storeOf({ uploads: { active: 2 } }), 'GET /images': page(images), 'GET /tasks': page([]) },
      'edge-b': { 'GET /images': page([]) },
    })
    const { confirm } = await it.run('store delete edge-a')
    expect(confirm?.checklist.map(({ label, passed, detail }) => [label, passed, detail.split(':')[0]])).toEqual([
      ['Contact with edge-a', true, 'it answers'],
      ['Tasks in edge-a', true, 'none'],
      ['Uploads to edge-a', true, '2 uploads active'],
      ['Images in edge-a', true, '2 images (disk-1, disk-3)'],
      ['Images of edge-a in use', true, 'disk-1 by vm-1'],
      ['Images only in edge-a', true, '2 images (disk-1, disk-3)'],
      ['Policies that name edge-a', true, 'none'],
      ['Origins that name edge-a', true, 'none'],
      ['Hypervisors bound to edge-a', true, 'none'],
    ])
  })
})

describe('image upload', () => {
  test('reports rate and time left from the first report on', async () => {
    using it = openScriptedFleet({ 'edge-a': { 'GET /images/img_00000000000000000000000001': imageOf(1) } })
    const reports: unknown[] = []
    const view = await it.run('image upload /x/a.raw name=disk-1', {
      onInterim: ({ title, progress }) => void reports.push([title, progress[0]?.task.subject, progress[0]?.task.progress]),
      files: {
        length: async () => 1000,
        async send({ onProgress, metadata, path }) {
          expect([path, metadata]).toEqual(['/x/a.raw', { filename: 'a.raw', name: 'disk-1' }])
          it.clock.advance(2000)
          onProgress(200, 1000)
          it.clock.advance(2000)
          onProgress(600, 1000)
          return {
            imageId: 'img_00000000000000000000000001',
            resumedFrom: 200,
            length: 1000,
            saving: { wireBytes: 300, newBytes: 250, storedBytes: 450, zeroBytes: 100 },
          }
        },
      },
    })
    expect(reports).toEqual([
      ['Upload of disk-1 to edge-a', 'disk-1', { done: 200, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null }],
      ['Upload of disk-1 to edge-a', 'disk-1', { done: 600, total: 1000, unit: 'bytes', rate: 100, etaSeconds: 4 }],
    ])
    expect([view.outcome, view.title, view.notes]).toEqual([
      'done',
      'Image disk-1 uploaded to edge-a',
      ['Resumed at 200 B: an earlier run had sent everything before.', 'Sent 300 B for 800 B: 250 B new, 450 B already stored, 100 B zeros.'],
    ])
    expect(view.actions.map(({ command }) => command)).toEqual(['image show img_00000000000000000000000001 store=edge-a'])
  })

  test('to one of several stores offers a copy to another one, if the image is available', async () => {
    const files = { length: async () => 1, send: async () => ({ imageId: 'img_00000000000000000000000001', resumedFrom: 0, length: 0, saving: undefined }) }
    for (const [status, outcome, commands] of [
      ['available', 'done', ['image sync img_00000000000000000000000001 to=edge-b', 'image show img_00000000000000000000000001 store=edge-a']],
      ['error', 'failed', ['image show img_00000000000000000000000001 store=edge-a']],
    ] as const) {
      using it = openScriptedFleet({ 'edge-a': { 'GET /images/img_00000000000000000000000001': imageOf(1, { status }) }, 'edge-b': {} })
      const view = await it.run('image upload a.raw store=edge-a', { files })
      expect([view.outcome, view.notes, view.actions.map(({ command }) => command)]).toEqual([outcome, [], [...commands]])
    }
    using none = openScriptedFleet({ 'edge-a': {} })
    const lost = await none.run('image upload a.raw', {
      files: { ...files, send: async () => ({ imageId: undefined, resumedFrom: 0, length: 5, saving: undefined }) },
    })
    expect(lost.text).toBe('All 5 B are in the store, but the agent did not return the id of the image. Find it with image list.')
  })
})

const UPLOAD: Upload = {
  ...{
    id: 'upl_00000000000000000000000001',
    kind: 'whole',
    state: 'uploading',
    stateReason: 'It is uploaded.',
    imageId: 'img_1',
    name: 'disk',
    offset: 999,
    length: 1000,
  },
  ...{ rate: 100, etaSeconds: 3, creator: 'ann', device: null, filename: null, owner: null, expiresAt: null },
  ...{ createdAt: '2026-01-01T00:00:00.000Z', activeAt: '2026-01-01T00:00:01.000Z' },
} as unknown as Upload

describe('uploads', () => {
  test.each<[upload: Partial<Upload>, progress: string, rate: string]>([
    [{}, '999 B of 1.0 kB (99 %)', '100 B/s, 3 s left'],
    [{ offset: 1000, etaSeconds: null }, '1.0 kB of 1.0 kB (100 %)', '100 B/s'],
    [{ offset: 0, length: 0, rate: 0 }, '0 B of 0 B (100 %)', '–'],
    [{ offset: 5, length: null, rate: 0, etaSeconds: null }, '5 B', '–'],
  ])('with %j show %s and %s', async (upload, progress, rate) => {
    using it = openScriptedFleet({ 'edge-a': { 'GET /uploads': page([{ ...UPLOAD, ...upload }]) } })
    expect(fieldsOf(await it.run('upload show disk'))).toMatchObject({ Progress: progress, Rate: rate, State: 'Uploading', Expires: 'never' })
    expect((await it.run('upload show 0001')).outcome).toBe('done')
    expect((await it.run('upload show 001')).text).toBe('No upload "001" is in progress.')
  })
})

const TASK: Task = {
  ...{ id: 'tsk_00000000000000000000000001', kind: 'cleanup', state: 'running', subject: 'edge-a', createdBy: 'ann', endedAt: null },
  ...{ createdAt: '2026-01-01T00:00:00.000Z', progress: { done: 1, total: 4, unit: 'slices', rate: 0, etaSeconds: null } },
}

describe('tasks', () => {
  test.each<[task: Partial<Task>, tone: string, buttons: string[]]>([
    [{}, 'plain', ['Cancel']],
    [{ kind: 'sync' }, 'plain', ['Pause', 'Cancel']],
    [{ kind: 'sync', pausedAt: '2026-01-01T00:00:00.000Z' }, 'plain', ['Resume', 'Cancel']],
    [{ state: 'failed' }, 'bad', ['Retry']],
    [{ state: 'cancelled' }, 'warning', ['Retry']],
    [{ state: 'succeeded' }, 'good', []],
  ])('with %j have the tone %s and the buttons %j', async (task, tone, buttons) => {
    using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([{ ...TASK, ...task }]) } })
    const view = await it.run('task show 0001')
    expect<unknown[]>([view.tone, view.outcome, view.actions.map(({ label }) => label)]).toEqual([tone, 'done', buttons])
  })

  test('show their result and why they failed', async () => {
    const error = { type: 'urn:slipway:problem:insufficient-storage', title: 'Full', status: 507, detail: 'It is full.', action: 'Add space.' }
    const result = { bytesFreed: 1_500_000, images: [], slicesDeleted: 3, isComplete: true, parts: [{ id: 'a', bytes: 5 }], left: null }
    using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([{ ...TASK, state: 'failed', endedAt: '2026-01-01T00:01:00.000Z', result, error }]) } })
    expect(fieldsOf(await it.run('task show 0001'))).toMatchObject({
      ...{ Work: 'cleanup of edge-a', Ended: '2026-01-01 00:01:00 UTC', 'Bytes freed': '1.5 MB', Images: 'none', 'Slices deleted': '3', 'Is complete': 'true' },
      ...{ Parts: 'id a, bytes 5 B', Left: '–', Reason: 'It is full.', Next: expect.stringContaining('image purge --bin store=edge-a') },
    })
  })

  test('are listed newest first, and as many as are shown', async () => {
    const tasks = [TASK, { ...TASK, id: 'tsk_00000000000000000000000002', createdAt: '2026-01-02T00:00:00.000Z' }]
    using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page(tasks, 'more') }, 'edge-b': { 'GET /tasks': page([]) } })
    const view = await it.run('task list')
    expect([view.text, view.rows.map(({ cells }) => cells['id']), view.notes]).toEqual([
      '2 tasks',
      ['tsk_00000000000000000000000002', 'tsk_00000000000000000000000001'],
      ['Only 100 tasks of edge-a are shown.'],
    ])
    expect((await it.run('task show 0000')).text).toBe('2 tasks match "0000".')
  })
})
