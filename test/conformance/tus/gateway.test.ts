// Runs the conformance suite against the gateway of the bot, on real sockets, with our own server as the agent behind it.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createAgentUploads } from '../../../bot/gateway/agent-uploads.ts'
import { answerTus } from '../../../bot/gateway/answer-tus.ts'
import { GATEWAY_BODY_MAX } from '../../../bot/gateway/gateway.ts'
import { createUploadTurns } from '../../../bot/gateway/upload-turns.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { CASES, judge } from './run.ts'
import { Target } from './suite.ts'

/** Rows of extensions that @tus/server does not have, and of pages of other origins, which the gateway does not serve. */
const NOT_OFFERED: ReadonlySet<string> = new Set([
  'OPTIONS returns Tus-Checksum-Algorithm with sha1 if checksum is offered',
  'a page of an allowed origin can upload and read the headers that it needs',
  'a page of another origin is not allowed anything',
])
const ROWS_NOT_OFFERED: ReadonlySet<number> = new Set([28, 29, 30, 31, 32])
/** The runtime sends 100 Continue before the program sees the head of a request. */
const NOT_HELD: ReadonlySet<string> = new Set(['a refused request with Expect: 100-continue gets no 100, and its body is not sent'])
/** Cases that take seconds by themselves, and test the agent behind the gateway as much as tus.test.ts does: only in the full run. */
const SLOW: ReadonlySet<string> = new Set(process.env['SLIPWAY_GATEWAY_FULL'] === undefined ? ['a body of 160 MiB in one PATCH is accepted'] : [])

describe('tus 1.0.0 through the gateway', () => {
  let agent: UploadServer
  let server: Bun.Server<undefined>
  let target: Target

  beforeAll(async () => {
    agent = await startUploadServer()
    const turns = createUploadTurns({ clock: systemClock })
    server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      maxRequestBodySize: GATEWAY_BODY_MAX,
      fetch(request, own) {
        own.timeout(request, 0)
        const peer = { baseUrl: `http://127.0.0.1:${agent.port}`, token: 'admin-secret' }
        return answerTus(request, {
          uploads: createAgentUploads({ peer, storeName: 'edge-a', signal: request.signal }),
          clock: systemClock,
          turns,
          id: /\/files\/([^/]+)$/.exec(new URL(request.url).pathname)?.[1],
          lengthMax: 1e12,
          location: (id) => `/files/${id}`,
        })
      },
    })
    target = await Target.open({ url: `${server.url.origin}/files` })
  })
  afterAll(async () => {
    await server.stop(true)
    await agent[Symbol.asyncDispose]()
  })

  for (const one of CASES.filter(({ name }) => !SLOW.has(name))) {
    test(`row ${one.row}: ${one.name}`, async () => {
      const { outcome, detail } = await judge(target, one)
      const isSkipped = NOT_OFFERED.has(one.name) || ROWS_NOT_OFFERED.has(one.row)
      expect([outcome, outcome === 'passed' ? '' : detail]).toEqual(
        isSkipped ? ['skipped', expect.any(String)] : NOT_HELD.has(one.name) ? ['failed', expect.any(String)] : ['passed', ''],
      )
    }, 60_000)
  }
})
