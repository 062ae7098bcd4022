// Runs the documented lines about the mount path of a store: a file system that is gone, and another path.

import { describe, expect } from 'bun:test'
import { runDocumented } from '../../../support/machine/documented-lines.ts'
import { until } from '../../../support/until.ts'
import { expectSameBytes } from './images.ts'
import { BASE, SERVES, UNIT } from './node.ts'
import type { MachineTest, Node } from './node.ts'

const MOUNT = '/srv/slipway/edge-a'
const DISK = '/mnt/disk'
const OTHER = '/mnt/nfs/edge-a'

/** Unmounts the store while it is served, and moves it. Afterwards the store is in its own folder again. Needs the image `precious`. */
export function testMountPath(test: MachineTest, node: Node): void {
  const shell = (text: string): Promise<string> => node.machine().must('bash', '-euo', 'pipefail', '-c', text)
  const health = async (): Promise<string> => (await node.ask(`${BASE}/v1/health`)).stdout

  describe('the mount path', () => {
    test('recover.md: a file system that is gone is mounted again, and the agent resumes by itself', async () => {
      await shell(`systemctl stop ${UNIT} && mv ${MOUNT} ${DISK} && install -d -m 0700 -o slipway -g slipway ${MOUNT}`)
      await shell(`echo '${DISK} ${MOUNT} none bind 0 0' >> /etc/fstab && systemctl daemon-reload && mount ${MOUNT} && systemctl start ${UNIT}`)
      await shell(`umount --lazy ${MOUNT}`)
      await until('health is an error', async () => (await health()).includes('"state":"error"'))
      await runDocumented(node.machine(), 'docs/recover.md', 'The mount path is gone')
      await until('the agent serves again', async () => SERVES.test(await health()))
      await expectSameBytes(node, 'precious')
    })

    test('configure.md: a store moves to another path', async () => {
      await shell(`systemctl stop ${UNIT} && umount ${MOUNT} && sed -i '\\|${MOUNT}|d' /etc/fstab && systemctl daemon-reload`)
      await shell(`install -d ${OTHER} && cp -a ${DISK}/. ${OTHER} && chown --reference=${DISK} ${OTHER} && chmod 0700 ${OTHER}`)
      await runDocumented(node.machine(), 'docs/configure.md', 'Another mount path')
      expect(await health()).toMatch(SERVES)
      await expectSameBytes(node, 'precious')
    })

    test('the store is moved back to its own folder', async () => {
      await shell(
        `systemctl stop ${UNIT} && cp -a ${OTHER}/. ${MOUNT} && rm -rf /mnt/nfs ${DISK} /etc/systemd/system/slipway-agent@edge-a.service.d/mount.conf`,
      )
      await shell(`sed -i 's|^mount = .*|mount = "${MOUNT}"|' /etc/slipway/edge-a.toml && systemctl daemon-reload && systemctl start ${UNIT}`)
      await expectSameBytes(node, 'precious')
    })
  })
}
