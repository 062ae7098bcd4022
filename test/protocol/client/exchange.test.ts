// How much of an answer a client takes: at the bound and one byte past it.

import { expect, test } from 'bun:test'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { makeProblem, ProblemError } from '../../../protocol/problems.ts'

const MIB = 1024 * 1024

/** Runs a call against a server that answers with these bytes; returns what became of it in a word. */
async function outcome(bytes: Uint8Array<ArrayBuffer> | string, status: number, call: 'health' | 'evidence'): Promise<string> {
  await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(bytes, { status }) })
  const client = createAgentClient({ baseUrl: `http://127.0.0.1:${server.port}` })
  try {
    await client[call]()
    return 'taken'
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return /sent more than the limit of \d+ bytes/.exec(error.problem.detail)?.[0] ?? error.problem.detail
  }
}

const health = JSON.stringify({ state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' })
const conflict = JSON.stringify(makeProblem('conflict', 'It is in use.'))

test.each([
  ['JSON of 16 MiB', () => health.padEnd(16 * MIB), 200, 'health', 'taken'],
  ['longer JSON', () => health.padEnd(16 * MIB + 1), 200, 'health', 'sent more than the limit of 16777216 bytes'],
  ['evidence of 8 MiB', () => new Uint8Array(8 * MIB), 200, 'evidence', 'taken'],
  ['longer evidence', () => new Uint8Array(8 * MIB + 1), 200, 'evidence', 'sent more than the limit of 8388608 bytes'],
  ['a problem of 64 KiB', () => conflict.padEnd(65_536), 409, 'evidence', 'It is in use.'],
  ['a longer problem', () => conflict.padEnd(65_537), 409, 'evidence', 'sent more than the limit of 65536 bytes'],
] as const)('%s is taken or refused', async (_what, bytes, status, call, ends) => {
  expect(await outcome(bytes(), status, call)).toBe(ends)
})
