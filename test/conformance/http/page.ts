// The page of an agent: the entry, its session, and what it opens.

import assert from 'node:assert/strict'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import type { MemoryApp } from '../../support/memory/memory-app.ts'
import type { HttpCase } from './case.ts'

const HTML = { accept: 'text/html' }
const FORM = { ...HTML, 'content-type': 'application/x-www-form-urlencoded' }

function enter(memory: MemoryApp, token: string, headers: Record<string, string> = {}): Promise<Response> {
  const body = new URLSearchParams({ token, next: '/page/tasks' }).toString()
  return memory.ask('/page/enter', { method: 'POST', headers: { ...FORM, ...headers }, body })
}

export const PAGE_CASES: HttpCase[] = [
  {
    name: 'a token that was entered becomes a session that opens the page and nothing else, until it is ended',
    async run() {
      await using memory = await createMemoryApp()
      const closed = await memory.ask('/', { headers: HTML })
      assert.equal(closed.status, 401)
      assert.match(await closed.text(), /^<!DOCTYPE html><html lang="en">.*<label for="token">/s)
      const entered = await enter(memory, memory.tokens.viewer)
      assert.deepEqual([entered.status, entered.headers.get('location')], [303, '../page/tasks'])
      const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
      for (const path of ['/', '/page/tasks', '/page/events']) {
        const shown = await memory.ask(path, { headers: { ...HTML, cookie } })
        assert.equal(shown.status, 200, path)
        assert.match(await shown.text(), /the viewer \(viewer\)/)
      }
      assert.equal((await memory.ask('/v1/tasks', { headers: { cookie } })).status, 401)
      const page = await (await memory.ask('/', { headers: { ...HTML, cookie } })).text()
      const formToken = /name="form-token" value="(\w+)"/.exec(page)?.[1] ?? ''
      const left = await memory.ask('/page/leave', { method: 'POST', headers: { ...FORM, cookie }, body: `form-token=${formToken}` })
      assert.equal(left.status, 200)
      await left.body?.cancel()
      assert.equal((await memory.ask('/', { headers: { ...HTML, cookie } })).status, 401)
    },
  },
  {
    name: 'a wrong token, a form of another site, and one that is not a form are refused',
    async run() {
      await using memory = await createMemoryApp()
      assert.equal((await enter(memory, 'slp_wrong')).status, 401)
      assert.equal((await enter(memory, memory.tokens.viewer, { origin: 'https://evil.example' })).status, 403)
      assert.equal((await enter(memory, memory.tokens.viewer, { 'sec-fetch-site': 'cross-site' })).status, 403)
      assert.equal((await enter(memory, memory.tokens.viewer, { 'content-type': 'text/plain' })).status, 415)
    },
  },
]
