// A case of the HTTP layer: plain code over Web APIs and node:assert, so that every runtime runs the same ones.

import assert from 'node:assert/strict'
import type { Problem } from '../../../protocol/problems.ts'
import type { MemoryApp } from '../../support/memory/memory-app.ts'

export interface HttpCase {
  readonly name: string
  run(): Promise<void>
}

/** The problem of an answer, whose status, media type and members are as they must be. */
export async function problemOf(response: Response, code: string): Promise<Problem> {
  const text = await response.text()
  assert.equal(response.headers.get('content-type'), 'application/problem+json', text)
  const problem = JSON.parse(text) as Problem
  assert.equal(problem.type, `urn:slipway:problem:${code}`, text)
  assert.equal(problem.status, response.status)
  assert.equal(problem.requestId, response.headers.get('x-request-id'))
  assert.ok(problem.title !== '' && problem.detail !== '' && problem.action !== '')
  assert.equal(response.headers.get('cache-control'), 'no-store')
  return problem
}

/** The JSON of an answer with this status. */
export async function jsonOf<T = Record<string, unknown>>(response: Response, status = 200): Promise<T> {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
  return JSON.parse(text) as T
}

/** Asks with JSON as an admin. */
export function post(memory: MemoryApp, path: string, body?: unknown, method = 'POST'): Promise<Response> {
  return memory.ask(path, { role: 'admin', method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}
