// The service keeps the state of every store, so that the bot knows since when a store has been silent.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { readBotConfig } from '../../bot/config.ts'
import { createRegistry } from '../../bot/fleet/registry.ts'
import { pairStore } from '../../bot/pair.ts'
import { startBot } from '../../bot/serve.ts'
import { createLog } from '../../bot/system/log.ts'
import { openDatabase } from '../../bot/system/database.ts'
import { createManualClock } from '../support/memory/manual-clock.ts'
import { createMemoryAgent } from '../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('the service notices a store that stops answering, and one that answers again, also an agent that cannot stream its state', async () => {
  await using folder = await createTemporaryFolder()
  const agent = createMemoryAgent('edge-a')
  pairStore(folder.path, { name: 'edge-a', url: agent.url, token: agent.token, zone: 'zone-1' })
  const clock = createManualClock()
  const lines: string[] = []
  await using _bot = await startBot(readBotConfig({ SLIPWAY_HOME: folder.path }), {
    clock,
    log: createLog({ clock, level: 'warn', write: (line) => lines.push(line) }),
  })
  using database = openDatabase(folder.path)
  const registry = createRegistry(database)
  const pass = <T>(what: string, look: () => T) =>
    until(what, () => {
      clock.advance(1000)
      return look()
    })
  await pass('the store was seen', () => registry.find('edge-a')?.storeId)

  await agent[Symbol.asyncDispose]()
  await pass('the silence was noticed', () => registry.find('edge-a')?.stoppedSinceMs)
  await pass('it was noticed in the log', () => lines.length > 0)
  expect(lines[0]).toContain('a store changed its state')
  expect(lines[0]).toContain('"from":"running","to":"stopped"')

  await using again = createMemoryAgent('edge-a')
  pairStore(folder.path, { name: 'edge-a', url: again.url, token: again.token, zone: 'zone-1' })
  await pass('it is known to be back', () => registry.find('edge-a')?.stoppedSinceMs === null)
})
