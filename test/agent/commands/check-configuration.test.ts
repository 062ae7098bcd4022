// `serve --check` on this node: it refuses and warns as `serve` does.

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
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
