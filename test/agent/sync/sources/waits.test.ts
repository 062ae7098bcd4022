// How long a store waits for an answer of another one, and for the next bytes of it: a sync longer than a reader who waits.

import { afterEach, expect, jest, spyOn, test } from 'bun:test'
import { createOrigins } from '../../../../agent/sync/origins/origins.ts'
import { createPeerFetch, createPeerNetwork } from '../../../../agent/sync/peer-network.ts'
import { openSource } from '../../../../agent/sync/sources/connect.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const ID = 'aaaaaaaa-0000-4000-8000-000000000000'
const identity = async (): Promise<Response> => Response.json({ id: ID, name: 'hub', protocol: { sync: [1, 2], capabilities: [] } })

/** Notes the limits of time that are set from now on, in milliseconds. */
function noteLimits(): Set<number> {
  const limits = new Set<number>()
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    limits.add(ms)
    return timeout(ms)
  })
  return limits
}
afterEach(() => jest.restoreAllMocks())

test('a sync waits 20 seconds for an answer and 30 for its next bytes', async () => {
  const limits = noteLimits()
  const deps = {
    clock: createManualClock(),
    storeId: 'own',
    prover: { storeId: 'own', publicKey: '', sign: async () => '' },
    network: createPeerNetwork([], async () => []),
    fetch: identity,
  }
  await openSource(deps, { url: 'http://10.0.0.1:8420', token: 't' }, new AbortController().signal)
  expect(limits).toContain(20_000)
  expect(limits).toContain(30_000)
})

test('a read through an origin waits 5 seconds for an answer and 15 for its next bytes', async () => {
  const limits = noteLimits()
  const settings = [{ name: 'hub', url: 'http://10.0.0.1:8420', token: 't' }]
  using origins = createOrigins({ clock: createManualClock(), log: createMemoryLog(), settings, storeId: 'own', fetch: identity })
  await until('the origin has answered', () => origins.list()[0]?.state === 'reachable')
  expect(limits).toContain(5000)
  expect(limits).toContain(15_000)
})

test('the search for the network of a source waits 20 seconds for its announcement', async () => {
  const limits = noteLimits()
  const networks = { cidr: '', now: () => 0, ownAddresses: () => [], sendFrom: () => Promise.reject(new Error('there is no sync network')) }
  const send = async (url: string): Promise<Response> =>
    url.endsWith('/v1/store') ? Response.json({ id: ID, networks: null }) : Response.json({ missing: [] })
  const fetch = createPeerFetch(
    createPeerNetwork([], async () => [], networks),
    send,
  )
  await createAgentClient({ baseUrl: 'http://10.0.0.1:8420', token: 't', fetch, answerTimeoutMs: 1234 }).slices.missing([])
  expect(limits).toContain(20_000)
})
