// Runs the lines of docs/install.md, docs/access.md, docs/network.md, docs/upgrade.md and docs/uninstall.md.

import { describe, expect } from 'bun:test'
import { runDocumented } from '../../../support/machine/documented-lines.ts'
import { uploadImage, expectSameBytes } from './images.ts'
import { BASE, SHOWN_SERVING, SERVES, untilHealthy } from './node.ts'
import type { MachineTest, Node } from './node.ts'

/** Folders whose files change on every running system. */
const VOLATILE = ['/dev', '/proc', '/sys', '/run', '/tmp', '/root', '/var/log', '/var/lib/systemd', '/var/cache', '/var/tmp']
const UNITS_STATE = '/etc/systemd/system/multi-user.target.wants'
let filesBefore: string[] = []

/** Returns the paths of the node that an installation could have left. */
async function listFiles({ machine }: Node): Promise<string[]> {
  const pruned = VOLATILE.flatMap((path) => ['-path', path, '-prune', '-o'])
  return (await machine().must('find', '/', '-xdev', ...pruned, '-print')).trim().split('\n').toSorted()
}

/** Tests the installation on a fresh node, and leaves agent and bot running. */
export function testInstallation(test: MachineTest, node: Node): void {
  describe('install.md', () => {
    const run = (heading: string): Promise<string> => runDocumented(node.machine(), 'docs/install.md', heading)

    test('installs files, users and folders on a fresh node', async () => {
      filesBefore = await listFiles(node)
      await run('2. Install the files')
      const documentation = await node
        .machine()
        .must('sh', '-c', "sed -n 's/^Documentation=//p' /etc/systemd/system/slipway-*.service | tr ' ' '\\n' | sed 's|^file://||'")
      await node.machine().must('ls', ...documentation.trim().split('\n'))
    })

    test('configures and starts a store whose health is good', async () => {
      expect(await run('3. Configure the store')).toContain('The configuration of store edge-a is valid.')
      await run('4. Start the agent')
      await untilHealthy(node, BASE)
      expect(await run('5. Check the store')).toMatch(SERVES)
    })

    test('starts the bot, and its console lists the store as running', async () => {
      expect(await run('6. Install the bot')).toContain('StatusText=Not connected since')
      const printed = await run('7. Check the fleet')
      expect(printed).toContain('Store edge-a added')
      expect(printed).toMatch(SHOWN_SERVING)
      expect((await node.machine().must('systemctl', 'is-active', 'slipway-bot')).trim()).toBe('active')
    })

    test('makes secrets unreadable to other users', async () => {
      const open = await node
        .machine()
        .must('find', '/etc/credstore', '/var/lib/slipway/edge-a', '/var/lib/slipway-bot', '/srv/slipway/edge-a', '-perm', '/077')
      expect(open).toBe('')
    })
  })

  describe('access.md and network.md', () => {
    test('create and list tokens, and rotate the admin token', async () => {
      expect(await runDocumented(node.machine(), 'docs/access.md', 'Create a token')).toContain('"name":"nightly-builds"')
      expect(await runDocumented(node.machine(), 'docs/access.md', 'Rotate the admin token')).toMatch(SHOWN_SERVING)
      expect((await node.ask('-w', '%{http_code}', '-o', '/dev/null', `${BASE}/v1/store`)).stdout).toBe('200')
    })

    test('allow one more network', async () => {
      await runDocumented(node.machine(), 'docs/network.md', 'What systemd lets through')
      expect(await node.property('IPAddressAllow')).toContain('203.0.113.0/24')
      await runDocumented(node.machine(), 'docs/configure.md', 'Configure')
    })
  })
}

/** Tests upgrade, downgrade and removal on a running node. */
export function testUninstallation(test: MachineTest, node: Node): void {
  describe('upgrade.md', () => {
    test('installs the archive on a running node and goes back, and images are kept', async () => {
      await uploadImage(node, 'kept', 8)
      expect(await runDocumented(node.machine(), 'docs/upgrade.md', 'Upgrade a node')).toMatch(SERVES)
      await expectSameBytes(node, 'kept')
      expect(await runDocumented(node.machine(), 'docs/upgrade.md', 'Downgrade a node')).toMatch(SERVES)
      await expectSameBytes(node, 'kept')
    })
  })

  describe('uninstall.md', () => {
    test('keeps the images at first, and then removes everything', async () => {
      await runDocumented(node.machine(), 'docs/uninstall.md', 'Remove programs, configuration and state')
      await node.machine().must('test', '-e', '/srv/slipway/edge-a/store.json')
      await runDocumented(node.machine(), 'docs/uninstall.md', 'Remove the images and the users')
      const left = await listFiles(node)
      // Folders that exist on every Debian system with a service that an administrator installed.
      const usual = new Set([
        '/etc/sysusers.d',
        '/etc/tmpfiles.d',
        '/etc/credstore',
        '/usr/share/doc',
        UNITS_STATE,
        '/etc/gshadow-',
        '/etc/passwd-',
        '/etc/group-',
        '/etc/shadow-',
        '/etc/.pwd.lock',
        '/etc/subuid-',
        '/etc/subgid-',
      ])
      expect(left.filter((path) => !filesBefore.includes(path) && !usual.has(path))).toEqual([])
      expect((await node.machine().run('systemctl', 'list-unit-files', 'slipway*', '--no-legend')).stdout).toBe('')
      expect((await node.machine().run('id', 'slipway')).code).not.toBe(0)
    })
  })
}
