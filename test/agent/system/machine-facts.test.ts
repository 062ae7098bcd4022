// What the evidence says of the machine and of the configuration.

import { describe, expect, test } from 'bun:test'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSystemFacts, folderFacts, machineFacts, mountOf } from '../../../agent/system/machine-facts.ts'
import { secretsOf, shownConfig } from '../../../agent/commands/shown-config.ts'
import { KNOWN_KEYS } from '../../../agent/config-schema.ts'
import { parseConfig } from '../../../agent/config.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { agentToml } from '../../support/agents/agent-config.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const MOUNTS = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro',
  '40 22 0:50 / /srv/slip\\040way rw,noatime shared:9 - nfs4 nas:/export rw,vers=4.2,rsize=1048576,hard,clientaddr=10.0.0.2',
  '41 22 0:51 / /srv/share rw - cifs //ann:pw@nas/share rw,username=ann,password=hunter2,seal',
].join('\n')

describe('mountOf', () => {
  test('finds the deepest mount, and shows only options that are no secret', () => {
    expect(mountOf('/srv/slip way/store', MOUNTS)).toEqual({
      mountPoint: '/srv/slip way',
      type: 'nfs4',
      source: 'nas:/export',
      options: ['rw', 'noatime', 'vers=4.2', 'rsize=1048576', 'hard', 'clientaddr=***'],
    })
    expect(mountOf('/srv/share', MOUNTS)).toEqual({
      mountPoint: '/srv/share',
      type: 'cifs',
      source: '//***@nas/share',
      options: ['rw', 'username=***', 'password=***', 'seal'],
    })
    expect(mountOf('/srv/shared', MOUNTS)?.mountPoint).toBe('/')
    expect(mountOf('/x', '')).toBeNull()
  })

  test('finds the one of this machine', async () => {
    await using folder = await createTemporaryFolder()
    expect(await fileSystemFacts(folder.path)).toMatchObject({
      path: folder.path,
      mount: { type: expect.any(String) as string },
      totalBytes: expect.any(Number) as number,
    })
    expect(await fileSystemFacts(join(folder.path, 'gone'))).toMatchObject({ error: 'ENOENT' })
    expect(machineFacts('1.2.3', 1000, 5000)).toMatchObject({ agent: '1.2.3', bun: '1.4.5', agentUptimeSeconds: 4 })
  })
})

describe('folderFacts', () => {
  test('lists wanted names with their lengths, below folders too, up to a bound', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(join(folder.path, 'index.db', 'runs'), { recursive: true })
    await writeFile(join(folder.path, 'index.db', 'runs', '1'), 'four')
    await writeFile(join(folder.path, 'agent.db'), 'x')
    await writeFile(join(folder.path, 'other'), 'x')
    const { files, notListed } = await folderFacts(createDisk(), folder.path, (name) => name !== 'other')
    expect((files as { name: string; length: number }[]).map(({ name, length }) => [name, length])).toEqual([
      ['agent.db', 1],
      ['index.db/runs/1', 4],
    ])
    expect(notListed).toBe(0)
    for (let i = 0; i < 502; i++) await writeFile(join(folder.path, `f${i}`), '')
    const full = await folderFacts(createDisk(), folder.path)
    expect([(full['files'] as unknown[]).length, full['notListed']]).toEqual([500, 5])
    expect(await folderFacts(createDisk(), join(folder.path, 'gone'))).toEqual({ folder: join(folder.path, 'gone'), files: [], notListed: 0 })
  })
})

describe('shownConfig', () => {
  const environment = { SLIPWAY_ADMIN_TOKEN: 'admin-secret', NOTIFY_SOCKET: '/run/x', CREDENTIALS_DIRECTORY: '' }
  const extra = '[tls]\ncert = "/etc/c.pem"\nkey = "/etc/k.pem"\n[[origins]]\nname = "hub"\nurl = "https://hub.example"\ntoken = "origin-secret"\n'
  const parsed = parseConfig(agentToml('/srv/x', extra), 'test.toml', environment)
  if (parsed.kind === 'refused') throw new Error(parsed.complaints.join('\n'))
  const { config } = parsed

  test('shows every section, and of secrets only whether they are set', () => {
    const shown = shownConfig(config)
    const text = JSON.stringify(shown)
    for (const secret of ['admin-secret', 'origin-secret', '/etc/k.pem', '/run/x']) expect(text).not.toContain(secret)
    expect(Object.keys(shown).toSorted()).toEqual([...Object.keys(KNOWN_KEYS), 'origins', 'process'].toSorted())
    // The keys inbox and inbox-settle are one setting.
    for (const [section, keys] of Object.entries(KNOWN_KEYS))
      expect(Object.keys(shown[section] as object)).toHaveLength(Object.keys(keys).length - (section === 'imports' ? 1 : 0))
    expect(shown).toMatchObject({
      tls: { cert: '/etc/c.pem', hasKey: true },
      origins: [{ hasToken: true }],
      process: { hasAdminToken: true, hasNotifySocket: true },
    })
    expect(secretsOf(config)).toEqual(['admin-secret', 'origin-secret'])
  })

  test('says what is not set', () => {
    const bare = parseConfig(agentToml('/srv/x'), 'test.toml', {})
    if (bare.kind === 'refused') throw new Error(bare.complaints.join('\n'))
    expect(shownConfig(bare.config)).toMatchObject({ tls: { cert: '', hasKey: false }, origins: [], process: { hasAdminToken: false } })
    expect(secretsOf(bare.config)).toEqual([])
  })
})
