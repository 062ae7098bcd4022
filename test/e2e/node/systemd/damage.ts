// Runs the lines of docs/recover.md that repair images from another store of the fleet, which runs on the same node.

import { describe, expect } from 'bun:test'
import { documentedBlocks, runDocumented } from '../../../support/machine/documented-lines.ts'
import { until } from '../../../support/until.ts'
import { expectSameBytes, uploadImage } from './images.ts'
import { BASE, UNIT, untilHealthy } from './node.ts'
import type { MachineTest, Node } from './node.ts'

const MOUNT = '/srv/slipway/edge-a'
/** Name of the image in the documented lines. */
const IMAGE = 'name-of-an-image'
const SLIPWAY = 'slipway() { runuser -u slipway-bot -- env -C / SLIPWAY_HOME=/var/lib/slipway-bot /usr/bin/slipway "$@"; }\n'

/** Installs a second store, copies an image there, and damages the original. Afterwards the second store is removed again. */
export function testDamage(test: MachineTest, node: Node): void {
  const shell = (text: string): Promise<string> => node.machine().must('bash', '-euo', 'pipefail', '-c', text)
  /** Runs the documented lines of a section of install.md for a store `edge-b`. */
  const installSecond = async (heading: string): Promise<void> => {
    for (const block of await documentedBlocks('docs/install.md', heading)) await shell(block.replaceAll('edge-a', 'edge-b').replaceAll('8420', '8430'))
  }
  const isInStatus = async (status: string): Promise<boolean> => (await node.ask(`${BASE}/v1/images/${IMAGE}`)).stdout.includes(`"status":"${status}"`)

  describe('recover.md, with a second store', () => {
    test('a second store is installed by the same lines, and gets a copy of an image', async () => {
      // The example has the name, the mount path and the port of the first store.
      await shell('sed \'s|edge-a|edge-b|; s|^# listen = .*|listen = "127.0.0.1:8430"|\' -i.first /usr/share/doc/slipway/examples/edge-a.toml')
      await shell('cp /usr/share/doc/slipway/examples/edge-a.toml /usr/share/doc/slipway/examples/edge-b.toml')
      for (const heading of ['3. Configure the store', '4. Start the agent']) await installSecond(heading)
      await untilHealthy(node, 'http://127.0.0.1:8430')
      await installSecond('5. Check the store')
      await shell(
        `${SLIPWAY}slipway <<< "store add name=edge-b url=http://127.0.0.1:8430 token=$(cat /etc/credstore/slipway-agent.edge-b.admin-token) zone=zone-1"`,
      )
      await uploadImage(node, IMAGE, 8)
      expect(await shell(`${SLIPWAY}slipway image sync ${IMAGE} from=edge-a to=edge-b`)).toMatch(/[Ss]ucceeded|[Dd]one/)
    })

    test('a damaged slice: the image becomes available again', async () => {
      await shell(`systemctl stop ${UNIT}`)
      const pack = await shell(`find ${MOUNT}/packs -name '*.pack' -size +2M -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2`)
      // The image that was uploaded last is at the end of the newest pack.
      await shell(`dd if=/dev/zero of=${pack.trim()} bs=16 seek=$(($(stat -c %s ${pack.trim()}) / 16 - 100000)) count=1 conv=notrunc status=none`)
      await shell(`systemctl start ${UNIT}`)
      await shell(`${SLIPWAY}slipway schedule run edge-a scrub`)
      await until('the scrub finds the damage', () => isInStatus('degraded'))
      expect(await runDocumented(node.machine(), 'docs/recover.md', 'A slice is damaged')).toContain(IMAGE)
      await until('the image is available again', () => isInStatus('available'))
      await expectSameBytes(node, IMAGE)
    })

    test('a damaged manifest: the image becomes available again', async () => {
      const { id } = JSON.parse((await node.ask(`${BASE}/v1/images/${IMAGE}`)).stdout) as { id: string }
      // While the other store is stopped, the agent cannot repair the image by itself before anybody looks.
      await shell(`systemctl stop ${UNIT} slipway-agent@edge-b && echo damaged > ${MOUNT}/images/${id}/manifest && systemctl start ${UNIT}`)
      expect(await isInStatus('error')).toBe(true)
      expect((await node.ask(`${BASE}/v1/images/${IMAGE}`)).stdout).toContain('manifest is damaged')
      await shell('systemctl start slipway-agent@edge-b')
      expect(await runDocumented(node.machine(), 'docs/recover.md', 'A manifest is damaged')).toContain(IMAGE)
      await until('the image is available again', () => isInStatus('available'))
      await expectSameBytes(node, IMAGE)
    })

    test('the second store is removed again', async () => {
      await shell(`${SLIPWAY}slipway store delete edge-b --confirm edge-b`)
      await shell('systemctl disable --now slipway-agent@edge-b')
      await shell('rm -rf /srv/slipway/edge-b /var/lib/slipway/edge-b /etc/slipway/edge-b.toml /etc/credstore/slipway-agent.edge-b.admin-token')
      await shell('cd /usr/share/doc/slipway/examples && mv edge-a.toml.first edge-a.toml && rm edge-b.toml')
    })
  })
}
