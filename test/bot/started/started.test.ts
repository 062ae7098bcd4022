// The record of requests that start tasks: written before the request, completed by the answer, forgotten with the card.

import { expect, test } from 'bun:test'
import type { Fetch } from '../../../protocol/client/exchange.ts'
import { createStarted, STARTED_MAX } from '../../../bot/started/started.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'

const ASK = { command: 'store cleanup edge-a', channel: 'C1', user: 'U1', person: 'ada (U1)' }

function open(answers: Readonly<Record<string, () => Response>>) {
  const database = openMemoryDatabase()
  const started = createStarted(database, { nowMs: () => 7 })
  const seen: { readonly line: string; readonly rows: number }[] = []
  const send: Fetch = (url, init) => {
    const line = `${init.method} ${new URL(url).pathname}`
    seen.push({ line, rows: started.left().length })
    return Promise.resolve(answers[line]?.() ?? Response.json({}, { status: 404 }))
  }
  return { started, seen, send, database }
}
const tasks =
  (...ids: string[]) =>
  () =>
    Response.json({ items: ids.map((id) => ({ id })) })
const accepted = () => Response.json({ id: 'tsk_2' }, { status: 202 })

test('a request that starts a task is recorded with the newest task before it is sent, and with its own task afterwards', async () => {
  const it = open({ 'GET /v1/tasks': tasks('tsk_1'), 'POST /v1/store/cleanup': accepted })
  const watch = it.started.watch(ASK)
  const answer = await watch.over(it.send)('http://h:1/v1/store/cleanup', {
    method: 'POST',
    headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
  })
  expect(await answer.json()).toEqual({ id: 'tsk_2' })
  expect(it.seen).toEqual([
    { line: 'GET /v1/tasks', rows: 0 },
    { line: 'POST /v1/store/cleanup', rows: 1 },
  ])
  expect(it.started.left()).toMatchObject([{ ...ASK, url: 'http://h:1', path: '/v1/store/cleanup', newest: 'tsk_1', task: 'tsk_2', begunMs: 7 }])
  watch.forget()
  expect(it.started.left()).toEqual([])
})

test.each([
  ['POST', 'http://h:1/v1/sync/grants'],
  ['POST', 'http://h:1/v1/unique-size'],
  ['GET', 'http://h:1/v1/images'],
  ['PATCH', 'http://h:1/v1/images/img_1'],
])('%s %s starts no task and is not recorded', async (method, url) => {
  const it = open({})
  await it.started.watch(ASK).over(it.send)(url, { method })
  expect(it.seen).toHaveLength(1)
  expect(it.started.left()).toEqual([])
})

test('a refusal is forgotten; an answer that says nothing, or none at all, is kept', async () => {
  const it = open({
    'GET /v1/tasks': tasks(),
    'POST /v1/sync': () => Response.json({}, { status: 409 }),
    'POST /p/v1/images': () => Response.json({}, { status: 502 }),
  })
  const send = it.started.watch(ASK).over(it.send)
  await send('http://h:1/v1/sync', { method: 'POST' })
  expect(it.started.left()).toEqual([])
  await send('http://h:1/p/v1/images', { method: 'POST' })
  expect(it.started.left()).toMatchObject([{ url: 'http://h:1/p', path: '/v1/images', newest: '', task: '' }])
  const failing: Fetch = (url, init) => (init.method === 'POST' ? Promise.reject(new Error('cut')) : it.send(url, init))
  const cut = it.started.watch(ASK).over(failing)('http://h:1/v1/sync', { method: 'POST' })
  expect(cut).rejects.toThrow('cut')
  await cut.catch(() => {})
  expect(it.started.left()).toMatchObject([{}, { path: '/v1/sync', newest: 'none', task: '' }])
})

test('the newest thousand are kept', () => {
  const it = open({})
  expect(STARTED_MAX).toBe(1000)
  it.database.run(
    "INSERT INTO started_tasks (id, command, ask, channel, user, person, url, path, newest, begun_ms) VALUES (1, '', 'old', '', '', '', '', '', '', 0)",
  )
  it.database.run(
    "INSERT INTO started_tasks (id, command, ask, channel, user, person, url, path, newest, begun_ms) VALUES (1001, '', 'new', '', '', '', '', '', '', 0)",
  )
  return it.started
    .watch(ASK)
    .over(it.send)('http://h:1/v1/sync', { method: 'POST' })
    .then(() => expect(it.started.left().map(({ ask }) => ask)).toEqual(['new']))
})
