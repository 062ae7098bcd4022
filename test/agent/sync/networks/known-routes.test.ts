// How long, and of how many sources, a store remembers that no sync network applies. The source is a real server on all loopback addresses.

import { expect, test } from 'bun:test'
import { createPeerFetch, createPeerNetwork } from '../../../../agent/sync/peer-network.ts'
import { createSendFrom } from '../../../../agent/system/send-from.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'

/** A source that announces no networks, and a target that counts its questions about them. */
function open() {
  let questions = 0
  let nowMs = 0
  const server = Bun.serve({
    hostname: '0.0.0.0',
    port: 0,
    fetch(request) {
      if (new URL(request.url).pathname !== '/v1/store') return Response.json({ missing: [] })
      questions++
      return Response.json({ id: '0a7b4f5e-30c8-4b6f-9a3a-7d1f2d7c9b11', networks: null })
    },
  })
  const network = createPeerNetwork([], async () => [], { cidr: '', now: () => nowMs, ownAddresses: () => [], sendFrom: createSendFrom() })
  const fetch = createPeerFetch(network)
  return {
    advance: (ms: number) => void (nowMs += ms),
    /** Sends a request to the source at one of its addresses. Returns the questions that this took. */
    async ask(number: number): Promise<number> {
      const before = questions
      await createAgentClient({ baseUrl: `http://127.0.1.${number}:${server.port}`, token: 'secret', fetch, answerTimeoutMs: 20_000 }).slices.missing([])
      return questions - before
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}

test('a source is asked for its networks once a minute', async () => {
  await using stage = open()
  expect([await stage.ask(1), await stage.ask(1)]).toEqual([1, 0])
  stage.advance(59_999)
  expect(await stage.ask(1)).toBe(0)
  stage.advance(1)
  expect([await stage.ask(1), await stage.ask(1)]).toEqual([1, 0])
})

test('64 sources are remembered, and one more makes room for others', async () => {
  await using stage = open()
  for (let i = 1; i <= 64; i++) expect(await stage.ask(i)).toBe(1)
  for (let i = 1; i <= 64; i++) expect(await stage.ask(i)).toBe(0)
  expect([await stage.ask(65), await stage.ask(65), await stage.ask(1)]).toEqual([1, 0, 1])
})
