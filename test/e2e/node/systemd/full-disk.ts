// Runs the lines of docs/recover.md, "The disk is full", on a store whose file system is full.

import { describe, expect } from 'bun:test'
import { z } from 'zod'
import { runDocumented } from '../../../support/machine/documented-lines.ts'
import { expectSameBytes, upload, uploadImage } from './images.ts'
import { BASE, SERVES, UNIT } from './node.ts'
import type { MachineTest, Node } from './node.ts'

const MOUNT = '/srv/slipway/edge-a'
const SMALL = '/mnt/small'
/** Length of one image in MiB; three fit on the small file system. */
const IMAGE_MIB = 24

/** Fills the disk of the store and follows the document. Afterwards the store is on its own disk again. */
export function testFullDisk(test: MachineTest, node: Node): void {
  const must = (...command: string[]): Promise<string> => node.machine().must(...command)

  /** Moves the store to a small file system that has only the image `precious`. */
  async function shrink(): Promise<void> {
    const { items } = z
      .object({ items: z.array(z.object({ id: z.string(), name: z.string() })) })
      .parse(JSON.parse((await node.ask(`${BASE}/v1/images`)).stdout))
    for (const { id, name } of items) if (name !== 'precious') await node.ask('-f', '-X', 'DELETE', `${BASE}/v1/images/${id}?permanent=true`)
    await must('systemctl', 'stop', UNIT)
    await must('slipway-agent', 'gc', '--config', '/etc/slipway/edge-a.toml')
    const usedMib = Number((await must('du', '-sm', MOUNT)).split('\t')[0])
    await must('mkdir', '-p', SMALL)
    await must('mount', '-t', 'tmpfs', '-o', `size=${usedMib + 3 * IMAGE_MIB + 8}m,mode=0700`, 'tmpfs', SMALL)
    await must('cp', '-a', `${MOUNT}/.`, SMALL)
    await must('mount', '--bind', SMALL, MOUNT)
    await must('sh', '-c', "echo 'SLIPWAY_STORE_RESERVED=4 MiB' > /etc/slipway/edge-a.env")
    await must('systemctl', 'start', UNIT)
  }

  describe('recover.md, "The disk is full"', () => {
    test('a purge and a cleanup free space, first from the recycle bin, then from images', async () => {
      await shrink()
      await uploadImage(node, 'deleted', IMAGE_MIB)
      await uploadImage(node, 'name-of-an-image', IMAGE_MIB)
      await node.ask('-X', 'DELETE', `${BASE}/v1/images/deleted`)
      expect(await upload(node, 'too-much', 3 * IMAGE_MIB)).toBe(507)
      const printed = await runDocumented(node.machine(), 'docs/recover.md', 'The disk is full')
      expect(printed).toMatch(/Health of edge-a/)
      expect((await node.ask(`${BASE}/v1/images`)).stdout).not.toContain('name-of-an-image')
      expect(await upload(node, 'fits-again', 2 * IMAGE_MIB)).toBe(201)
      expect((await node.ask(`${BASE}/v1/health`)).stdout).toMatch(SERVES)
      await expectSameBytes(node, 'precious')
    })

    test('the store is moved back to its own disk', async () => {
      await must('systemctl', 'stop', UNIT)
      await must('umount', MOUNT)
      await must(
        'sh',
        '-c',
        `rm -rf ${MOUNT}/* ${MOUNT}/.ballast* && cp -a ${SMALL}/. ${MOUNT}/ && umount ${SMALL} && rmdir ${SMALL} && rm /etc/slipway/edge-a.env`,
      )
      await must('systemctl', 'start', UNIT)
      await expectSameBytes(node, 'fits-again')
    })
  })
}
