// `serve --check` on this node: it refuses and warns as `serve` does.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { changedSettings } from '../../../agent/commands/changed-settings.ts'
import { configuredSettings } from '../../../agent/commands/parts/agent-records.ts'
import { openStoreSettings } from '../../../agent/system/settings/store-settings.ts'
import { openAgentDatabase } from '../../../agent/tasks/database.ts'
import { createKeptValues } from '../../../agent/tasks/kept.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { checkConfiguration, configurationWarnings } from '../../../agent/commands/check-configuration.ts'
import { StartRefused } from '../../../agent/commands/start-refused.ts'
import { parseConfig } from '../../../agent/config.ts'
import { KNOWN_KEYS } from '../../../agent/config-schema.ts'
import type { Config } from '../../../agent/config.ts'
import { addressesWithin } from '../../../agent/system/network.ts'

const EXAMPLE = 'systemd/examples/edge-a.toml'

/** Returns the configuration of a file with these lines. */
function configOf(toml: string): Config {
  const outcome = parseConfig(`[store]\nmount = "/srv/x"\n${toml}`, 'test.toml', {})
  if (outcome.kind === 'refused') throw new Error(outcome.complaints.join('\n'))
  return outcome.config
}

describe('serve --check', () => {
  test('refuses a network in which this node has no address, and a certificate that is missing', async () => {
    expect(addressesWithin('203.0.113.0/24')).toEqual([])
    await expect(checkConfiguration(configOf('[network]\ndata = "203.0.113.0/24"'))).rejects.toThrow(
      /network\.data is 203\.0\.113\.0\/24, but this node has no address/,
    )
    await expect(checkConfiguration(configOf('[tls]\ncert = "/none.pem"\nkey = "/none.key"'))).rejects.toThrow(StartRefused)
  })

  test('warns about plain HTTP beyond loopback', () => {
    expect(configurationWarnings(configOf(''))).toEqual([])
    for (const listen of ['0.0.0.0:8420', '[::]:8420', '10.0.0.5:8420', 'edge-a.example:8420'])
      expect(configurationWarnings(configOf(`[network]\nlisten = "${listen}"`))).toEqual([expect.stringContaining('plain HTTP on')])
    for (const listen of ['127.0.0.1:8420', '127.1.2.3:8420', '[::1]:8420', 'localhost:8420'])
      expect(configurationWarnings(configOf(`[network]\nlisten = "${listen}"`))).toEqual([])
    expect(configurationWarnings(configOf('[network]\nlisten = "0.0.0.0:8420"\nplain-http = true'))).toEqual([])
    expect(configurationWarnings(configOf('[network]\nlisten = "0.0.0.0:8420"\n[tls]\ncert = "/a"\nkey = "/b"'))).toEqual([])
  })
})

describe('what operators changed', () => {
  test('is named beside what the configuration says, also while the agent has its database open, and nothing is left behind', async () => {
    await using folder = await createTemporaryFolder()
    const state = folder.file('state')
    const config = configOf(`state = "${state}"\nreserved = "2 GB"\n[images]\nkinds = ["iso"]`)
    expect(await changedSettings(config)).toEqual([])
    await mkdir(state)
    using database = openAgentDatabase(folder.file('state', 'agent.db'))
    const kept = createKeptValues(database)
    expect(await changedSettings(config)).toEqual([])
    const settings = openStoreSettings({ kept, configured: configuredSettings(config) })
    settings.update({ reserved: 2_000_000_000, kinds: ['iso'] })
    expect(await changedSettings(config)).toEqual([])
    settings.update({ reserved: 50_000_000_000, kinds: [], transfer: { uploadConcurrency: 4 }, retention: { seconds: 3600 }, sync: { bytesPerSecond: 70_000 } })
    settings.disable('moved')
    const state_ = { anchorMs: 0, lastRunMs: null, lastTaskId: null, lastResult: null, hasFailed: false }
    kept.write('schedules', { scrub: { cron: '0 5 * * *', paused: false, ...state_ }, cleanup: { cron: null, paused: true, ...state_ } })
    const before = readdirSync(state).toSorted()
    expect(await changedSettings(config)).toEqual([
      'store.reserved is 50 GB, not 2.0 GB',
      'images.kinds is all, not iso',
      'images.retention is 1 h, not 3 d',
      'transfer.upload-concurrency is 4, not 1',
      'sync.bytes-per-second is 70 kB/s, not unlimited',
      'the store is disabled',
      'schedules.scrub is "0 5 * * *", not "41 1 * * 0"',
      'the schedule cleanup is paused',
    ])
    expect(readdirSync(state).toSorted()).toEqual(before)
  })

  test('is not known of a state folder that cannot be read', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('state'))
    await writeFile(folder.file('state', 'agent.db'), 'no database')
    expect(await changedSettings(configOf(`state = "${folder.file('state')}"`))).toEqual([
      expect.stringMatching(/^what was changed is not known, because the state folder cannot be read \(.+\); run this as the user of the agent$/),
    ])
  })
})

describe('the example', () => {
  test('shows every key, and no other', () => {
    const shown: string[] = []
    let section = ''
    for (const line of readFileSync(EXAMPLE, 'utf8').split('\n')) {
      section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section
      const key = /^(?:# )?([a-z-]+) = /.exec(line)?.[1]
      if (key !== undefined) shown.push(`${section}.${key}`)
    }
    const effective = Object.entries(KNOWN_KEYS).flatMap(([name, keys]) => Object.keys(keys).map((key) => `${name}.${key}`))
    expect(shown.toSorted()).toEqual(effective.toSorted())
  })
})
