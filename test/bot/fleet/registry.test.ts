// What the registry keeps over restarts, and that other users cannot read it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { statSync } from 'node:fs'
import { openVault } from '../../../bot/credentials/vault.ts'
import { createFleet } from '../../../bot/fleet/fleet.ts'
import { createRegistry } from '../../../bot/fleet/registry.ts'
import { pairStore } from '../../../bot/pair.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { homeKeyPath } from '../../../bot/system/key-file.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const STORE = { name: 'edge-a', url: 'http://127.0.0.1:1', token: 'secret', zone: 'zone-1', provider: 'local', storeId: null }

describe('registry', () => {
  test('is readable by its owner only', async () => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    createRegistry(database).add(STORE, 0)
    for (const name of ['bot.db', 'bot.db-wal', 'bot.db-shm']) expect(statSync(folder.file('bot', name)).mode & 0o777).toBe(0o600)
    expect(statSync(folder.file('bot')).mode & 0o777).toBe(0o700)
  })

  test('keeps the first failed contact over later ones and over a restart', async () => {
    await using folder = await createTemporaryFolder()
    {
      using database = openDatabase(folder.path)
      const registry = createRegistry(database)
      registry.add(STORE, 0)
      registry.answered('edge-a', 1_000)
      expect(registry.silent('edge-a', 'refused', 2_000)).toBe(2_000)
    }
    using database = openDatabase(folder.path)
    const registry = createRegistry(database)
    expect(registry.silent('edge-a', 'timed out', 9_000)).toBe(2_000)
    expect(registry.find('EDGE-A')).toMatchObject({ lastSeenMs: 1_000, stoppedSinceMs: 2_000, stoppedReason: 'timed out' })
    registry.answered('edge-a', 10_000)
    expect(registry.silent('edge-a', 'refused', 11_000)).toBe(11_000)
  })

  test('pairing again changes only address and token', async () => {
    await using folder = await createTemporaryFolder()
    const pairing = { name: 'local', url: 'http://127.0.0.1:1', token: 'one', zone: 'zone-1' }
    pairStore(folder.path, pairing)
    pairStore(folder.path, { ...pairing, url: 'http://127.0.0.1:2', token: 'two', zone: 'zone-2' })
    using database = openDatabase(folder.path)
    const vault = openVault({ database, clock: systemClock, keyFiles: [], homeKeyFile: homeKeyPath(folder.path) })
    expect(createRegistry(database, vault).list()).toMatchObject([{ name: 'local', url: 'http://127.0.0.1:2', token: 'two', zone: 'zone-1' }])
  })
})

describe('fleet', () => {
  test('a failed contact says since when contacts fail; a successful one resets it', async () => {
    await using folder = await createTemporaryFolder()
    using database = openDatabase(folder.path)
    const clock = createManualClock()
    const registry = createRegistry(database)
    const store = registry.add(STORE, clock.nowMs())
    let isUp = false
    const fetch = (): Promise<Response> =>
      isUp ? Promise.resolve(Response.json({ state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' })) : Promise.reject(new Error('refused'))
    const fleet = createFleet({ registry, clock, fetch })
    const firstMs = clock.nowMs()
    expect(await fleet.contact(store, (agent) => agent.health())).toMatchObject({ kind: 'stopped', sinceMs: firstMs, lastSeenMs: null })
    clock.advance(60_000)
    expect(await fleet.contact(store, (agent) => agent.health())).toMatchObject({ kind: 'stopped', sinceMs: firstMs, asOfMs: firstMs + 60_000 })
    isUp = true
    expect(await fleet.contact(store, (agent) => agent.health())).toMatchObject({ kind: 'answered' })
    isUp = false
    clock.advance(1_000)
    expect(await fleet.contact(store, (agent) => agent.health())).toMatchObject({ kind: 'stopped', sinceMs: firstMs + 61_000, lastSeenMs: firstMs + 60_000 })
  })
})
