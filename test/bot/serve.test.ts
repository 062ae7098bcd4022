// The service observes every store at an interval, so that the bot knows since when a store has been silent.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { readBotConfig } from '../../bot/config.ts'
import { createRegistry } from '../../bot/fleet/registry.ts'
import { pairStore } from '../../bot/pair.ts'
import { POLL_INTERVAL_MS, startBot } from '../../bot/serve.ts'
import { createLog } from '../../bot/system/log.ts'
import { openDatabase } from '../../bot/system/database.ts'
import { createManualClock } from '../support/memory/manual-clock.ts'
import { createMemoryAgent } from '../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('polling notices a store that stops answering, and one that answers again', async () => {
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
  await until('the store was seen', () => registry.find('edge-a')?.storeId)
  const seenMs = clock.nowMs()

  await agent[Symbol.asyncDispose]()
  clock.advance(POLL_INTERVAL_MS)
  await until('the silence was noticed', () => registry.find('edge-a')?.stoppedSinceMs)
  clock.advance(POLL_INTERVAL_MS)
  await until('it was noticed in the log', () => lines.length > 0)
  expect(registry.find('edge-a')).toMatchObject({ lastSeenMs: seenMs, stoppedSinceMs: seenMs + POLL_INTERVAL_MS })
  expect(lines[0]).toContain('a store changed its state')

  await using again = createMemoryAgent('edge-a')
  pairStore(folder.path, { name: 'edge-a', url: again.url, token: again.token, zone: 'zone-1' })
  await until('it is known to be back', () => {
    clock.advance(POLL_INTERVAL_MS)
    return registry.find('edge-a')?.stoppedSinceMs === null
  })
})
