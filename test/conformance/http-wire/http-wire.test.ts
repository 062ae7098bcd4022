// The wire cases against a real agent through raw sockets.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { BODY_CASES } from './body-cases.ts'
import type { WireCase } from './case.ts'
import { MESSAGE_CASES } from './message-cases.ts'
import { readAnswers } from './answers.ts'
import type { RawAnswer } from './answers.ts'

const SENTINEL = 'HEAD /v1/health HTTP/1.1\r\nHost: sentinel\r\nX-Request-Id: sentinel\r\n\r\n'

let folder: TemporaryFolder
let agent: AgentProcess

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
})

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** One connection; `until` waits for bytes. */
class RawConnection {
  readonly #socket: Socket
  #text = ''
  #wake: () => void = () => {}
  isClosed = false

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    this.#socket.on('data', (piece: Buffer) => {
      this.#text += piece.toString('latin1')
      this.#wake()
    })
    for (const event of ['end', 'close', 'error']) {
      this.#socket.on(event, () => {
        this.isClosed = true
        this.#wake()
      })
    }
  }

  get answers(): RawAnswer[] {
    return readAnswers(this.#text)
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached() && !this.isClosed) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

async function createUpload(): Promise<string> {
  const response = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: agent.headers({ 'Tus-Resumable': '1.0.0', 'Upload-Length': '10', 'Upload-Metadata': `name ${btoa(crypto.randomUUID())}` }),
  })
  return response.headers.get('location') ?? ''
}

async function runCase({ send, statuses, closes, headers = [], problem }: WireCase): Promise<void> {
  const upload = send.some((part) => part.includes('{upload}')) ? await createUpload() : ''
  using connection = new RawConnection(agent.url)
  for (const [i, part] of send.entries()) {
    if (i > 0) await connection.until(() => connection.answers.length >= i)
    connection.send(part.replaceAll('{upload}', upload).replaceAll('{token}', TEST_ADMIN_TOKEN))
  }
  await connection.until(() => !closes && connection.answers.length >= statuses.length)
  const { answers } = connection
  expect(answers.map(({ status }) => status)).toEqual([...statuses])
  const last = answers.at(-1)
  for (const header of headers) expect(last?.headers).toContain(header)
  if (problem !== undefined) {
    expect(last?.headers).toContain('content-type: application/problem+json')
    expect(JSON.parse(last?.body ?? '')).toMatchObject({ type: `urn:slipway:problem:${problem}`, status: statuses.at(-1) })
  }
  expect(connection.isClosed).toBe(closes)
  if (closes) return
  connection.send(SENTINEL)
  await connection.until(() => connection.answers.length > statuses.length)
  expect(connection.answers.slice(statuses.length).map(({ status, headers: lines }) => [status, lines.includes('x-request-id: sentinel')])).toEqual([
    [200, true],
  ])
}

describe.each([
  ['messages', MESSAGE_CASES],
  ['bodies', BODY_CASES],
])('%s', (_name, cases) => {
  for (const wireCase of cases) test(`${wireCase.rule}: ${wireCase.name} → ${wireCase.statuses.join(', ')}`, () => runCase(wireCase))
})
