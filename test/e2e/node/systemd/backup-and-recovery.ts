// Runs the lines of docs/backup.md and docs/recover.md, each after the damage that it repairs.

import { describe, expect } from 'bun:test'
import { runDocumented } from '../../../support/machine/documented-lines.ts'
import { expectSameBytes, uploadImage } from './images.ts'
import { SHOWN_SERVING, SERVES, UNIT } from './node.ts'
import type { MachineTest, Node } from './node.ts'

const MOUNT = '/srv/slipway/edge-a'
const STATE = '/var/lib/slipway/edge-a'

/** Damages one thing after the other and repairs it by the documents; the agent runs before and after each. */
export function testBackupAndRecovery(test: MachineTest, node: Node): void {
  const must = (...command: string[]): Promise<string> => node.machine().must(...command)
  const recover = (heading: string): Promise<string> => runDocumented(node.machine(), 'docs/recover.md', heading)

  describe('backup.md', () => {
    test('saves store, state and secrets, and restores what was deleted', async () => {
      await must('systemctl', 'start', UNIT)
      await uploadImage(node, 'precious', 8)
      for (const heading of ['Save store.json', 'Save configuration and state', 'Save the mount path'])
        await runDocumented(node.machine(), 'docs/backup.md', heading)
      await must('sh', '-c', `rm -rf ${MOUNT}/images ${MOUNT}/packs`)
      expect(await runDocumented(node.machine(), 'docs/backup.md', 'Restore')).toMatch(/\d+ images and uploads .*, 0 /)
      await expectSameBytes(node, 'precious')
    })
  })

  describe('recover.md', () => {
    test('starts with a check that always works', async () => {
      expect(await recover('Recover')).toMatch(SERVES)
    })

    test('a lost state folder: images come back, and the bot gets the new token', async () => {
      // Without the credential the agent creates a token that the bot does not have.
      await must('mv', '/etc/credstore/slipway-agent.edge-a.admin-token', '/root/admin-token')
      await must('rm', '-rf', STATE)
      expect(await recover('The state folder is lost')).toMatch(SHOWN_SERVING)
      await must('mv', '/root/admin-token', '/etc/credstore/slipway-agent.edge-a.admin-token')
      await must('systemctl', 'restart', UNIT)
      await expectSameBytes(node, 'precious')
    })

    test('a store from a node with other user ids: refused with one sentence, then given to the user of this node', async () => {
      await must('systemctl', 'stop', UNIT)
      await must('chown', '-R', '4242:4242', MOUNT, STATE)
      expect((await node.machine().run('systemctl', 'start', UNIT)).code).not.toBe(0)
      expect(await node.property('ExecMainStatus')).toBe('2')
      expect(await node.property('NRestarts')).toBe('0')
      const printed = await recover('The store moves to another node')
      expect(printed).toMatch(SERVES)
      expect(printed).toMatch(/\d+ images and uploads .*, 0 /)
      await expectSameBytes(node, 'precious')
    })

    test('commands of the agent as root leave no file that the service cannot read', async () => {
      await recover('The index database is damaged')
      expect(await must('find', MOUNT, STATE, '-not', '-user', 'slipway')).toBe('')
      await expectSameBytes(node, 'precious')
    })

    test('a damaged store.json: refused with one sentence, then restored', async () => {
      await must('systemctl', 'stop', UNIT)
      await must('sh', '-c', `echo damaged > ${MOUNT}/store.json`)
      expect((await node.machine().run('systemctl', 'start', UNIT)).code).not.toBe(0)
      await recover('store.json is damaged')
      await expectSameBytes(node, 'precious')
    })
  })
}
