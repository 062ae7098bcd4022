// The stores that healing asks, of origins and partners together.

import { expect, test } from 'bun:test'
import type { KnownOrigin, Origin, Origins } from '../../../../agent/contract/origins.ts'
import { joinOrigins } from '../../../../agent/sync/heal/heal-sources.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'

function knownOrigin(kind: Origin['kind'], name: string, storeId: string): KnownOrigin {
  const url = `http://${name}.test`
  return { kind, name, url, state: 'reachable', storeId, version: 2, client: createAgentClient({ baseUrl: url, token: 't' }) }
}

/** Origins that write down what is noted of them. */
function listed(all: readonly KnownOrigin[]) {
  const noted: string[] = []
  const listeners = new Set<(origin: Origin) => void>()
  const origins: Origins = {
    list: () => all,
    usable: async () => all,
    answered: ({ name }) => void noted.push(`${name} answered`),
    failed: ({ name }, error) => void noted.push(`${name} failed: ${String(error)}`),
    onReachable(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]() {},
  }
  return { origins, noted, listeners }
}

const hub = knownOrigin('origin', 'hub', 'a')
const sameStore = knownOrigin('partner', 'hub-as-partner', 'a')
const neighbour = knownOrigin('partner', 'neighbour', 'b')

test('origins come before partners, and a partner that is an origin too is asked once, as an origin', async () => {
  const joined = joinOrigins(listed([hub]).origins, listed([sameStore, neighbour]).origins)
  expect(joined.list().map(({ name }) => name)).toEqual(['hub', 'hub-as-partner', 'neighbour'])
  expect((await joined.usable()).map(({ name }) => name)).toEqual(['hub', 'neighbour'])
})

test('the outcome of a request is noted where the store comes from', () => {
  const [first, others] = [listed([hub]), listed([neighbour])]
  const joined = joinOrigins(first.origins, others.origins)
  joined.answered(hub)
  joined.failed(neighbour, 'cut')
  joined.answered(neighbour)
  joined.failed(hub, 'slow')
  expect(first.noted).toEqual(['hub answered', 'hub failed: slow'])
  expect(others.noted).toEqual(['neighbour failed: cut', 'neighbour answered'])
})

test('a listener hears of origins and partners, and of neither any more once it is disposed', () => {
  const [first, others] = [listed([hub]), listed([neighbour])]
  const heard: string[] = []
  const listening = joinOrigins(first.origins, others.origins).onReachable(({ name }) => void heard.push(name))
  for (const listener of first.listeners) listener(hub)
  for (const listener of others.listeners) listener(neighbour)
  expect(heard).toEqual(['hub', 'neighbour'])
  listening[Symbol.dispose]()
  expect([first.listeners.size, others.listeners.size]).toEqual([0, 0])
})
