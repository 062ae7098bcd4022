// Finds what a killed bot had begun: which task a request started, which it did not, and what the person reads.

import { expect, test } from 'bun:test'
import { findStarted } from '../../../bot/slack/find-started.ts'
import type { StartedTask } from '../../../bot/started/started.ts'
import type { View } from '../../../protocol/views/view.ts'
import { openScriptedFleet, page } from '../commands/scripted-fleet.ts'
import type { Script } from '../commands/scripted-fleet.ts'

const ANN = 'ann (U0ANN) via slipway-bot'

const idOf = (number: number): string => `tsk_${String(number).padStart(26, '0')}`
const taskOf = (number: number, members: Readonly<Record<string, unknown>> = {}) => ({
  ...{ id: idOf(number), kind: 'cleanup', state: 'running', subject: 'edge-a', createdBy: ANN, createdAt: '2026-01-01T00:00:00.000Z' },
  ...{ endedAt: null, progress: { done: 0, total: null, unit: 'bytes', rate: 0, etaSeconds: null } },
  ...members,
})

/** A request of ann that was recorded when task 5 was the newest one. */
const rowOf = (members: Partial<StartedTask> = {}): StartedTask => ({
  ...{ id: 1, ask: 'ask-1', command: 'store cleanup edge-a', channel: 'C1', user: 'U0ANN', person: 'ann (U0ANN)', begunMs: 0 },
  ...{ url: 'http://edge-a.example', path: '/v1/store/cleanup', newest: idOf(5), task: '' },
  ...members,
})

/** Looks for rows in a store that answers with a script; returns the cards, which asks were forgotten, and what was asked. */
async function look(script: Script, ...left: StartedTask[]) {
  using fleet = openScriptedFleet({ 'edge-a': script })
  const cards: View[] = []
  const forgotten: string[] = []
  await findStarted({
    left,
    started: { forget: (ask) => void forgotten.push(ask) },
    cards: {
      open: (_channel, _orElse, view, also) => {
        also?.()
        cards.push(view)
      },
    },
    context: fleet.bot.context({ name: 'service', role: 'admin' }, 'service'),
    log: { debug() {}, info() {}, warn() {}, error() {} },
  })
  const [row] = fleet.bot.audit.list({ limit: 1 })
  return { cards, forgotten, sent: fleet.sent, outcome: row?.outcome, ids: cards.map(({ progress }) => progress.map(({ task }) => task.id)) }
}

test('a request is told apart from others by person, kind, and the newest task before it', async () => {
  const tasks = page([
    taskOf(9, { createdBy: 'bob (U0BOB) via slipway-bot' }),
    taskOf(8, { kind: 'scrub' }),
    taskOf(7, { createdBy: 'slipway-bot' }),
    taskOf(6),
    taskOf(5),
  ])
  const found = await look({ 'GET /tasks': tasks }, rowOf())
  expect([found.ids, found.forgotten, found.outcome]).toEqual([[[idOf(6)]], ['ask-1'], 'done'])
  expect(found.cards[0]?.notes).toContain('The bot was stopped when this began, and has found it again.')
  expect(found.sent).toEqual(['edge-a GET /tasks?limit=100'])
})

test('the newest task before a request is not its own, and without a task before it any is newer', async () => {
  const only = { 'GET /tasks': page([taskOf(5)]) }
  const none = await look(only, rowOf())
  expect([none.ids, none.outcome]).toEqual([[[]], 'failed'])
  expect((await look(only, rowOf({ newest: 'none' }))).ids).toEqual([[idOf(5)]])
})

test.each([
  ['/v1/sync', 'sync', 'import'],
  ['/v1/images', 'import', 'sync'],
  ['/v1/store/cleanup', 'cleanup', 'gc'],
  ['/v1/reconcile', 'reconcile', 'cleanup'],
  [`/v1/images/img_${'0'.repeat(26)}/exports`, 'export', 'import'],
  ['/v1/schedules/scrub/run', 'scrub', 'heal'],
])('%s starts a task of the kind %s, not %s', async (path, kind, other) => {
  expect((await look({ 'GET /tasks': page([taskOf(7, { kind: other }), taskOf(6, { kind })]) }, rowOf({ path }))).ids).toEqual([[idOf(6)]])
})

test('two requests of one command share a card, and never a task', async () => {
  const tasks = page([taskOf(7), taskOf(6)])
  const { ids, forgotten } = await look({ 'GET /tasks': tasks }, rowOf(), rowOf({ id: 2 }), rowOf({ id: 3, ask: 'ask-2' }))
  expect([ids, forgotten]).toEqual([
    [[idOf(7), idOf(6)], []],
    ['ask-1', 'ask-2'],
  ])
  const known = await look({ 'GET /tasks': tasks, [`GET /tasks/${idOf(7)}`]: taskOf(7) }, rowOf(), rowOf({ id: 2, ask: 'ask-2', task: idOf(7) }))
  expect(known.ids).toEqual([[idOf(6)], [idOf(7)]])
})

test.each([
  ['running', 1],
  ['succeeded', 1],
  ['failed', 0],
  ['cancelled', 0],
])('a task to run again that is %s was begun %d times', async (state, count) => {
  const { ids, sent } = await look({ [`GET /tasks/${idOf(3)}`]: taskOf(3, { state }) }, rowOf({ path: `/v1/tasks/${idOf(3)}/retry`, newest: '' }))
  expect(ids).toEqual([count === 1 ? [idOf(3)] : []])
  expect(sent).toEqual([`edge-a GET /tasks/${idOf(3)}`])
})

test('a plan that nobody has seen is not found', async () => {
  const plan = { images: [], slicesMoved: 0, slicesPresent: 0, bytesMoved: 0, dryRun: true }
  const { ids } = await look({ 'GET /tasks': page([taskOf(6, { kind: 'sync', state: 'succeeded', result: plan })]) }, rowOf({ path: '/v1/sync' }))
  expect(ids).toEqual([[]])
})

test('what did not begin is told from what is not known', async () => {
  const words = (view: View | undefined) => [view?.title, view?.text, view?.fields.find(({ label }) => label === 'Next')?.value, view?.notes]
  const none = await look({ 'GET /tasks': page([]) }, rowOf())
  expect(words(none.cards[0])).toEqual([
    ...['Interrupted: store cleanup edge-a', 'The bot was stopped before it began. Nothing was changed.', 'Run it again: store cleanup edge-a', []],
  ])
  const unknown = ['The bot was stopped while it began.', 'Look with task list whether it runs; if not, run it again.']
  const silent = await look({}, rowOf())
  expect(words(silent.cards[0])).toEqual(['Interrupted: store cleanup edge-a', ...unknown, ['Whether a task began there is not known: edge-a.']])
  const unseen = await look({ 'GET /tasks': page([taskOf(6)]) }, rowOf({ newest: '' }))
  expect(words(unseen.cards[0])).toEqual(['Interrupted: store cleanup edge-a', ...unknown, ['Whether a task began there is not known: edge-a.']])
  const removed = await look({}, rowOf({ url: 'http://edge-z.example' }), rowOf({ id: 2, url: 'http://edge-z.example' }))
  expect(words(removed.cards[0])).toEqual([
    'Interrupted: store cleanup edge-a',
    ...unknown,
    ['Whether a task began there is not known: http://edge-z.example.'],
  ])
})

test('what was found is shown beside what is not known', async () => {
  const { cards, ids } = await look({ 'GET /tasks': page([taskOf(6)]) }, rowOf(), rowOf({ id: 2, url: 'http://edge-z.example' }))
  expect([ids, cards[0]?.outcome, cards[0]?.notes.at(-1)]).toEqual([[[idOf(6)]], 'done', 'Whether a task began there is not known: http://edge-z.example.'])
})
