// The record of bulk runs: who has a run, what is begun, how it ends, and the bounds.

import { describe, expect, test } from 'bun:test'
import { createAudit } from '../../../bot/audit/audit.ts'
import { bulkCard } from '../../../bot/bulk/bulk-card.ts'
import { BULK_ENDED_KEPT, parseBulkId } from '../../../bot/bulk/bulk-run.ts'
import type { BulkDraft, BulkRun, DraftItem } from '../../../bot/bulk/bulk-run.ts'
import { createBulkRuns } from '../../../bot/bulk/bulk-runs.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { View } from '../../../protocol/views/view.ts'

const DRAFT: BulkDraft = {
  ...{ verb: 'delete', title: 'Delete 3 images', params: {}, origin: '', surface: 'slack' },
  ...{ actor: 'ada (U1)', actorId: 'U1', channel: 'C1' },
}
const ITEMS: DraftItem[] = ['a', 'b', 'c'].map((name) => ({ store: 'edge-a', image: `img_${name}`, name, length: 10, params: {} }))
const ME = { id: 1, owner: 'me' }
const LEASE_MS = 120_000

function open() {
  const database = openMemoryDatabase()
  const audit = createAudit(database)
  const cards: { key: string; view: View }[] = []
  const runs = createBulkRuns(database, { put: ({ key, view }) => void cards.push({ key, view }) }, audit)
  const rows = () => audit.page(undefined, 100).rows.map(({ target, outcome, begunSeq }) => `${target} ${outcome}${begunSeq > 0 ? ` of ${begunSeq}` : ''}`)
  const begin = (draft: Partial<BulkDraft> = {}, items = ITEMS): BulkRun => {
    const begun = runs.begin({ ...DRAFT, ...draft }, items, '', 0)
    if (begun.kind !== 'begun') throw new Error(begun.kind)
    return begun.run
  }
  return { database, runs, cards, rows, begin }
}

describe('a run', () => {
  test('does its items in order, each with its row of the audit log, and ends with its card', () => {
    const it = open()
    it.begin()
    expect(it.runs.acquire(ME, 0, false)).toBe(true)
    for (const [n, name] of ['a', 'b', 'c'].entries()) {
      expect(it.runs.next(ME, 0)).toMatchObject({ n, name, state: 'running' })
      it.runs.settle(ME, n, { state: n === 1 ? 'failed' : 'done', detail: n === 1 ? 'It is in use.' : 'Gone', next: n === 1 ? 'Unbind it.' : '' }, 0)
    }
    expect(it.runs.next(ME, 0)).toBeUndefined()
    expect(it.runs.finish(ME, 5)).toMatchObject({ state: 'failed', endedMs: 5, counts: { done: 2, failed: 1, waiting: 0, running: 0, skipped: 0 } })
    expect(it.rows()).toEqual([
      ...['a', 'b', 'c'].flatMap((name, n) => [`${name} in edge-a begun`, `${name} in edge-a ${n === 1 ? 'failed' : 'done'} of ${2 * n + 1}`]),
      'B1 failed',
    ])
    expect(it.cards.map(({ key, view }) => `${key} ${view.title}`)).toEqual(['bulk 1 Running: Delete 3 images', 'bulk 1 Not all done: Delete 3 images'])
    expect(it.cards[1]?.view).toMatchObject({
      text: '2 of 3 images done, 1 failed.',
      rows: [{ cells: { name: 'b', store: 'edge-a', cause: 'It is in use.', next: 'Unbind it.' } }],
      actions: [
        { label: 'Retry', command: 'task retry B1' },
        { label: 'Restore 2 images', command: 'image restore img_a img_c store=edge-a' },
      ],
    })
  })

  test('that is cancelled begins nothing else, ends what is in progress, and can be retried', () => {
    const it = open()
    it.begin()
    it.runs.acquire(ME, 0, false)
    it.runs.next(ME, 0)
    expect(it.runs.cancel(1, 'bob', 1)).toMatchObject({ state: 'cancelling', cancelledBy: 'bob' })
    expect(it.runs.cancel(1, 'eve', 1)).toBeUndefined()
    expect(it.runs.next(ME, 1)).toBeUndefined()
    expect(it.runs.reopen(1, 'x', 1)).toBeUndefined()
    it.runs.settle(ME, 0, { state: 'done', detail: 'Gone', next: '' }, 1)
    expect(it.runs.finish(ME, 2)).toMatchObject({ state: 'cancelled', counts: { done: 1, skipped: 2 } })
    expect(it.cards.at(-1)?.view.text).toBe('1 of 3 images done, 2 not begun. bob cancelled it: what was not begun is unchanged.')
    expect(it.runs.reopen(1, '', 3)).toMatchObject({ state: 'running', cancelledBy: '', counts: { done: 1, waiting: 2, skipped: 0 } })
    expect(it.runs.left('slack', 'me', 3)).toHaveLength(1)
  })

  test('does not end while something is in progress or waits', () => {
    const it = open()
    it.begin()
    it.runs.acquire(ME, 0, false)
    it.runs.next(ME, 0)
    expect(it.runs.finish(ME, 1)).toMatchObject({ state: 'running', endedMs: null })
  })

  test('of a process that is gone is taken over when its lease ends, and what was in progress is begun again with the same row', () => {
    const it = open()
    it.begin()
    expect(it.runs.acquire(ME, 0, false)).toBe(true)
    it.runs.next(ME, 10)
    it.runs.ordered(ME, 0, 'tsk_1')
    const other = { id: 1, owner: 'other' }
    expect(it.runs.acquire(other, 9 + LEASE_MS, false)).toBe(false)
    expect(it.runs.acquire(other, 10 + LEASE_MS, false)).toBe(true)
    expect(it.runs.next(other, 10 + LEASE_MS)).toMatchObject({ n: 0, task: 'tsk_1', auditSeq: 1 })
    expect(it.rows()).toEqual(['a in edge-a begun'])
    // The first process is back, and has nothing to say any more.
    expect(it.runs.next(ME, 0)).toBeUndefined()
    expect(it.runs.renew(ME, 0)).toBe(false)
    it.runs.settle(ME, 0, { state: 'failed', detail: 'x', next: '' }, 0)
    it.runs.ordered(ME, 0, 'tsk_2')
    expect(it.runs.items(1)[0]).toMatchObject({ state: 'running', task: 'tsk_1', detail: '' })
    expect(it.runs.acquire(ME, 0, true)).toBe(true)
  })

  test('follows the new name of a store, and takes its items along when it is forgotten', () => {
    const it = open()
    it.database.run("INSERT INTO stores (name, url, token, zone, provider, added_ms) VALUES ('edge-a', 'u', 't', 'z', 'local', 0)")
    it.begin()
    it.database.run("UPDATE stores SET name = 'edge-z'")
    expect(it.runs.items(1).map(({ store }) => store)).toEqual(['edge-z', 'edge-z', 'edge-z'])
    it.database.run('DELETE FROM bulk_runs')
    expect(it.database.query('SELECT count(*) AS n FROM bulk_items').get()).toEqual({ n: 0 })
  })
})

describe('bounds', () => {
  test('a person has five runs at a time, and everybody fifty', () => {
    const it = open()
    for (let n = 0; n < 5; n++) it.begin()
    expect(it.runs.begin(DRAFT, ITEMS, '', 0)).toEqual({ kind: 'too-many', own: true })
    for (let n = 5; n < 50; n++) it.begin({ actorId: `U${n}` })
    expect(it.runs.begin({ ...DRAFT, actorId: 'U99' }, ITEMS, '', 0)).toEqual({ kind: 'too-many', own: false })
  })

  test('what was approved begins one run, however often it is begun', () => {
    const it = open()
    it.begin({ origin: 'approval 7' })
    expect(it.runs.begin({ ...DRAFT, origin: 'approval 7' }, ITEMS, '', 0)).toMatchObject({ kind: 'known', run: { id: 1 } })
    expect(it.runs.ofOrigin('approval 7')?.id).toBe(1)
    expect(it.runs.ofOrigin('approval 8')).toBeUndefined()
  })

  test('the newest hundred of the runs that have ended are kept', () => {
    const it = open()
    for (let id = 1; id <= BULK_ENDED_KEPT + 2; id++) {
      it.begin({}, [])
      it.runs.acquire({ id, owner: 'me' }, 0, false)
      it.runs.finish({ id, owner: 'me' }, 0)
    }
    expect(BULK_ENDED_KEPT).toBe(100)
    expect(it.runs.find(2)).toBeUndefined()
    expect(it.runs.find(3)?.state).toBe('done')
  })

  test('a card names ten failures and counts the rest', () => {
    const it = open()
    const run = it.begin(
      {},
      Array.from({ length: 12 }, (_, n) => ({ store: 'edge-a', image: `img_${n}`, name: `n${n}`, length: 1, params: {} })),
    )
    it.runs.acquire(ME, 0, false)
    for (let n = 0; n < 12; n++) {
      it.runs.next(ME, 0)
      it.runs.settle(ME, n, { state: 'failed', detail: 'x'.repeat(600), next: '' }, 0)
    }
    const view = bulkCard({ ...run, counts: { ...run.counts, failed: 12 } }, it.runs.items(1), 0)
    expect(view.rows).toHaveLength(10)
    expect(view.rows[0]?.cells['cause']).toHaveLength(500)
    expect(view.notes).toEqual(['2 more failed: task show B1'])
  })
})

test.each([
  ['B12', 12],
  ['b7', 7],
  ['B', undefined],
  ['12', undefined],
  ['tsk_b1', undefined],
  ['B1234567890123456', undefined],
])('the id %s is that of the run %p', (text, id) => {
  expect(parseBulkId(text)).toBe(id as number)
})
