// Runs the conformance suite against the upload gateway of the bot at the addresses of upload links, `/u/…/files`, on real sockets with a real agent behind it. A link
// creates one upload, so the server of the test makes a link for each creation.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createGateway, GATEWAY_BODY_MAX } from '../../../bot/gateway/gateway.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { openTestBot } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
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
/** Links of one token: a token's links may have 100 unfinished uploads. */
const LINKS_PER_TOKEN = 60
/** Cases that take seconds by themselves, and test the agent behind the gateway as much as tus.test.ts does: only in the full run. */
const SLOW: ReadonlySet<string> = new Set(process.env['SLIPWAY_GATEWAY_FULL'] === undefined ? ['a body of 160 MiB in one PATCH is accepted'] : [])

/** The same request at another address. A copy would take its body away from the server. */
function requestAt(url: string, request: Request): Request {
  return new Proxy(request, {
    get(target, key) {
      const value: unknown = key === 'url' ? url : Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('tus 1.0.0 through the gateway', () => {
  let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
  let agent: AgentProcess
  let bot: OpenBot
  let server: Bun.Server<undefined>
  let target: Target

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    agent = await startAgent(folder.path)
    bot = openTestBot(folder.file('home'))
    bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
    const gateway = createGateway({ bot, log: createMemoryLog(), origin: () => server.url.origin })
    let links = 0
    let maker = agent.client
    const makePage = async (): Promise<string> => {
      if (links++ % LINKS_PER_TOKEN === 0) {
        const { token } = await agent.client.tokens.create({ name: `maker-${links}`, role: 'uploader' })
        maker = createAgentClient({ baseUrl: agent.url, token })
      }
      return bot.uploadPages.add({ store: 'edge-a', ...(await maker.links.create({ kind: 'upload' })) })
    }
    const page = await makePage()
    server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      maxRequestBodySize: GATEWAY_BODY_MAX,
      async fetch(request, own) {
        const timeout = (_request: Request, seconds: number): void => own.timeout(request, seconds)
        const url = new URL(request.url)
        if (url.pathname.startsWith('/u/')) return gateway.links.fetch(request, { server: { timeout } })
        url.pathname = (url.pathname === '/files' && request.method === 'POST' ? await makePage() : page) + url.pathname
        return gateway.links.fetch(requestAt(url.href, request), { server: { timeout } })
      },
    })
    target = await Target.open({ url: `${server.url.origin}/files` })
  })
  afterAll(async () => {
    await server.stop(true)
    bot[Symbol.dispose]()
    await agent[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
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
