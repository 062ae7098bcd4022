// States that are read again: what another process wrote meanwhile is seen, and what did not change is not parsed again.

import { expect, test } from 'bun:test'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { Sighting } from '../../../bot/fleet/states.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { storeOf } from '../commands/scripted-fleet.ts'

const NOW = 1_000_000
const names = ['edge-a', 'edge-b', 'edge-c']
const add = (bot: OpenBot, name: string): void =>
  void bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone: 'z', provider: 'local', storeId: null }, 0)
const see = (bot: OpenBot, name: string, state: 'running' | 'degraded', asOfMs = NOW): void => {
  const store = bot.fleet.registry.find(name)
  if (!store) throw new Error(`${name} is not registered`)
  const health = { state, checks: [], asOf: '2026-01-01T00:00:00.000Z' }
  bot.fleet.kept?.states.record([{ kind: 'answered', store, value: { health, store: storeOf({ name }), tasks: null }, asOfMs }])
}
const seen = (bot: OpenBot, wanted = names): ReadonlyMap<string, Sighting> => {
  const stores = bot.fleet.registry.list().filter(({ name }) => wanted.includes(name))
  return bot.fleet.kept?.states.read(stores, NOW, NOW) ?? new Map()
}
const valueOf = (sighting: Sighting | undefined) => (sighting?.kind === 'answered' ? sighting.value : undefined)
const statesOf = (bot: OpenBot, wanted?: string[]): string[] =>
  [...seen(bot, wanted)].map(([name, sighting]) => `${name} ${valueOf(sighting)?.health.state ?? sighting.kind}`)

test('states that another process writes, even in the same millisecond, are read by this one', async () => {
  await using folder = await createTemporaryFolder()
  using service = openBot(folder.path, { clock: systemClock })
  using console = openBot(folder.path, { clock: systemClock })
  for (const name of names) add(service, name)
  for (const name of names) see(service, name, 'running')
  expect(statesOf(console)).toEqual(['edge-a running', 'edge-b running', 'edge-c running'])
  see(service, 'edge-b', 'degraded')
  expect(statesOf(console)).toEqual(['edge-a running', 'edge-b degraded', 'edge-c running'])
  expect(statesOf(console, ['edge-b'])).toEqual(['edge-b degraded'])
  service.fleet.registry.remove('edge-a')
  service.fleet.registry.change('edge-b', { name: 'edge-a' })
  expect(statesOf(console)).toEqual(['edge-a degraded', 'edge-c running'])
  service.fleet.registry.remove('edge-c')
  add(service, 'edge-c')
  expect(statesOf(console)).toEqual(['edge-a degraded'])
  see(service, 'edge-c', 'degraded')
  expect(statesOf(console)).toEqual(['edge-a degraded', 'edge-c degraded'])
})

test('a state that did not change is parsed once', () => {
  using bot = openBot('', { clock: systemClock, database: openMemoryDatabase() })
  for (const name of names) add(bot, name)
  for (const name of names) see(bot, name, 'running')
  const before = seen(bot)
  see(bot, 'edge-b', 'degraded')
  const after = seen(bot)
  const isSame = names.map((name) => valueOf(before.get(name)) === valueOf(after.get(name)))
  expect([isSame, valueOf(after.get('edge-b'))?.health.state]).toEqual([[true, false, true], 'degraded'])
})
