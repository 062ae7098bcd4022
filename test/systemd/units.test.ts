// Checks the units with systemd's own tools: no warnings, and a sandbox. Every line of the examples has an effect.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { parseConfig } from '../../agent/config.ts'
import { KNOWN_KEYS } from '../../agent/config-schema.ts'
import type { Config } from '../../agent/config.ts'
import { readBotConfig } from '../../bot/config.ts'
import { requireTool } from '../support/require.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

/** Highest exposure level accepted; systemd calls anything up to 4 "OK". */
const EXPOSURE_MAX = 2.0

const analyzeTest = requireTool('systemd-analyze', 'systemd')
const UNITS = (await readdir('systemd')).filter((name) => name.endsWith('.service'))

/** Runs a program and waits for its end. */
async function run(...command: string[]): Promise<{ code: number; text: string }> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { code, text: stdout + stderr }
}

describe('units', () => {
  for (const unit of UNITS) {
    analyzeTest(`systemd accepts ${unit}`, async () => {
      await using folder = await createTemporaryFolder()
      // systemd checks that the program exists, and it is not installed here.
      const text = (await Bun.file(`systemd/${unit}`).text()).replaceAll(/^(ExecStart=)\S+/gm, `$1${process.execPath}`)
      const name = unit.replace('@.', '@edge-a.')
      await Bun.write(folder.file(name), text)
      expect(await run('systemd-analyze', 'verify', '--man=no', folder.file(name))).toEqual({ code: 0, text: '' })
    })

    analyzeTest(`${unit} has an exposure of at most ${EXPOSURE_MAX}`, async () => {
      const { text } = await run('systemd-analyze', 'security', '--offline=true', '--no-pager', `systemd/${unit}`)
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1])
      expect(exposure).toBeGreaterThan(0)
      expect(exposure).toBeLessThanOrEqual(EXPOSURE_MAX)
    })
  }

  test.each([
    ['slipway-agent@.service', { MemoryMax: '4G', TasksMax: '512', IPAddressDeny: 'any', UMask: '0077' }],
    ['slipway-bot.service', { MemoryMax: '1G', TasksMax: '256', IPAddressDeny: 'link-local multicast', UMask: '0077' }],
  ])('%s limits memory, threads and network', async (unit, settings) => {
    const lines = (await Bun.file(`systemd/${unit}`).text()).split('\n')
    for (const [key, value] of Object.entries(settings)) expect(lines).toContain(`${key}=${value}`)
  })

  analyzeTest('systemd accepts every line of the example that allows more networks', async () => {
    await using folder = await createTemporaryFolder()
    const unit = (await Bun.file('systemd/slipway-agent@.service').text()).replaceAll(/^(ExecStart=)\S+/gm, `$1${process.execPath}`)
    await Bun.write(folder.file('slipway-agent@edge-a.service'), unit)
    const example = await Bun.file('systemd/examples/network.conf').text()
    await Bun.write(folder.file('slipway-agent@edge-a.service.d', 'network.conf'), example.replaceAll(/^# (?=IPAddress)/gm, ''))
    expect(await run('systemd-analyze', 'verify', '--man=no', folder.file('slipway-agent@edge-a.service'))).toEqual({ code: 0, text: '' })
  })

  analyzeTest('the user and the folders they need are declared', async () => {
    await using folder = await createTemporaryFolder()
    const users = await run('systemd-sysusers', '--dry-run', `--root=${folder.path}`, `${process.cwd()}/systemd/sysusers.d/slipway.conf`)
    expect(users).toMatchObject({ code: 0 })
    expect(users.text).toContain('slipway')
    await Bun.write(folder.file('etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nslipway:x:990:990::/:/bin/sh\n')
    await Bun.write(folder.file('etc/group'), 'root:x:0:\nslipway:x:990:\n')
    const folders = await run('systemd-tmpfiles', '--create', `--root=${folder.path}`, `${process.cwd()}/systemd/tmpfiles.d/slipway.conf`)
    expect(folders).toEqual({ code: 0, text: '' })
    expect((await readdir(folder.path)).toSorted()).toEqual(['etc', 'srv', 'var'])
  })
})

describe('examples', () => {
  const read = (name: string): Promise<string> => Bun.file(`systemd/examples/${name}`).text()
  /** Uncomments every setting. */
  const uncommented = (text: string): string => text.replaceAll(/^# (?=[A-Z_]+=|[a-z-]+ = )/gm, '')
  const parsed = (text: string): Config => {
    const outcome = parseConfig(text, 'edge-a.toml', {})
    if (outcome.kind === 'refused') throw new Error(outcome.complaints.join('\n'))
    return outcome.config
  }

  test('edge-a.toml is valid with every line uncommented, and each line has an effect', async () => {
    const config = parsed(uncommented(await read('edge-a.toml')))
    expect(config.tls).toEqual({ cert: '/etc/slipway/tls/edge-a.pem', key: '/etc/slipway/tls/edge-a.key' })
  })

  test('edge-a.toml shows the defaults, except in lines that are marked as examples', async () => {
    const text = (await read('edge-a.toml')).replaceAll(/^# Example\..*\n(?:# .*\n)+/gm, '')
    expect(parsed(uncommented(text))).toEqual(parsed(await read('edge-a.toml')))
  })

  test('edge-a.toml has every key', async () => {
    const text = await read('edge-a.toml')
    for (const [section, keys] of Object.entries(KNOWN_KEYS)) {
      const part = text.split(`\n[${section}]\n`)[1]?.split('\n[')[0] ?? ''
      for (const key of Object.keys(keys)) expect([section, key, new RegExp(`^(?:# )?${key} = `, 'm').test(part)]).toEqual([section, key, true])
    }
  })

  test('bot.env and edge-a.env are valid with every line uncommented', async () => {
    const variables = async (name: string): Promise<Record<string, string>> =>
      Object.fromEntries([...uncommented(await read(name)).matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, key = '', value = '']) => [key, value]))
    const bot = readBotConfig({ ...(await variables('bot.env')), SLIPWAY_HOME: '/var/lib/slipway-bot' })
    expect([[...bot.admins], bot.logLevel]).toEqual([['U024BE7LH'], 'info'])
    expect(parseConfig(await read('edge-a.toml'), 'edge-a.toml', await variables('edge-a.env'))).toMatchObject({
      kind: 'config',
      config: { network: { listen: { host: '10.20.0.5', port: 8420 } } },
    })
  })
})
