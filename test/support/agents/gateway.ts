// The upload gateway on a socket of its own, beside the bot of a test, with links to real agents.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { createGateway, GATEWAY_BODY_MAX } from '../../../bot/gateway/gateway.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { createMemoryLog } from '../memory/memory-log.ts'

export interface TestGateway extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly origin: string
  readonly port: number
  /** Makes an upload link at a store and returns the address of its page. */
  page(store: string, agent: AgentClient, order?: { readonly name?: string; readonly maxLength?: number; readonly origin?: string }): Promise<string>
}

/** Starts the gateway of a bot. */
export function startGateway(bot: OpenBot): TestGateway {
  let origin = ''
  const gateway = createGateway({ bot, log: createMemoryLog(), origin: () => origin })
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    maxRequestBodySize: GATEWAY_BODY_MAX,
    fetch: (request, own) => gateway.links.fetch(request, { server: own }),
  })
  origin = server.url.origin
  return {
    origin,
    port: server.port ?? 0,
    async page(store, agent, order = {}) {
      const link = await agent.links.create({ kind: 'upload', ...order })
      return origin + bot.uploadPages.add({ store, ...link })
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true)
    },
  }
}
