// The units as systemd itself reads them: accepted without a word, and as little exposed as it goes.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { requireTool } from '../support/require.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

/** Highest exposure level that is accepted; systemd calls anything up to 4 "OK". */
const EXPOSURE_MAX = 2.0

const analyzeTest = requireTool('systemd-analyze', 'systemd')
const UNITS = (await readdir('systemd')).filter((name) => name.endsWith('.service'))

/** Runs a program to its end. */
async function run(...command: string[]): Promise<{ code: number; text: string }> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { code, text: stdout + stderr }
}

describe('units', () => {
  for (const unit of UNITS) {
    analyzeTest(`systemd accepts ${unit}`, async () => {
      await using folder = await createTemporaryFolder()
      // Only the program is another one: it need not be installed to read the unit.
      const text = (await Bun.file(`systemd/${unit}`).text()).replaceAll(/^(ExecStart=)\S+/gm, `$1${process.execPath}`)
      const name = unit.replace('@.', '@edge-a.')
      await Bun.write(folder.file(name), text)
      expect(await run('systemd-analyze', 'verify', '--man=no', folder.file(name))).toEqual({ code: 0, text: '' })
    })

    analyzeTest(`${unit} is exposed at ${EXPOSURE_MAX} at most`, async () => {
      const { text } = await run('systemd-analyze', 'security', '--offline=true', '--no-pager', `systemd/${unit}`)
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1])
      expect(exposure).toBeGreaterThan(0)
      expect(exposure).toBeLessThanOrEqual(EXPOSURE_MAX)
    })
  }

  test.each([
    ['slipway-agent@.service', { MemoryMax: '4G', TasksMax: '512', IPAddressDeny: 'any', UMask: '0077' }],
    ['slipway-bot.service', { MemoryMax: '1G', TasksMax: '256', IPAddressDeny: 'link-local multicast', UMask: '0077' }],
  ])('%s bounds memory, threads and network', async (unit, settings) => {
    const lines = (await Bun.file(`systemd/${unit}`).text()).split('\n')
    for (const [key, value] of Object.entries(settings)) expect(lines).toContain(`${key}=${value}`)
  })

  analyzeTest('every line of the example that opens the network is one that systemd takes', async () => {
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
