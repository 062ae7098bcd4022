// Wherever the tables of a qcow2 lead, an image that the inspection accepts is one that qemu-img finds no damage in. It is safe to ask: an accepted
// image names no other file. Refcounts that are too high, and a flag that says whether a refcount is 1, are not compared: they cost space or a copy.

import { expect } from 'bun:test'
import fc from 'fast-check'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { inspectBytes } from '../../../support/images/inspected.ts'
import { buildQcow2 } from '../../../support/images/qcow2-image.ts'
import { propertyOptions } from '../../../support/properties.ts'
import { requireTool } from '../../../support/require.ts'

const OPTIONS = [
  { clusterBits: 9, virtualSize: 32_768, dataClusters: 6 },
  { clusterBits: 12, virtualSize: 1024 * 1024, version: 2 },
  { clusterBits: 14, virtualSize: 1024 * 1024, isExtended: true },
  { clusterBits: 16 },
] as const

/** One changed entry: a table, the entry in it, the cluster that it names, and its flags. */
const change = fc.record({
  table: fc.constantFrom('l1', 'l2', 'l2', 'refcountTable'),
  entry: fc.nat(15),
  cluster: fc.nat(12),
  /** Flags of an entry of L1 or L2. */
  flags: fc.constantFrom(1n << 63n, (1n << 63n) | 1n),
})

requireTool('qemu-img', 'qemu-utils')(
  'an accepted image has no damage for qemu-img check',
  async () => {
    await using folder = await createTemporaryFolder()
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...OPTIONS), fc.array(change, { minLength: 1, maxLength: 3 }), async (options, changes) => {
        const file = buildQcow2(options)
        const view = new DataView(file.bytes.buffer)
        for (const { table, entry, cluster, flags } of changes) {
          const hasFlags = table !== 'refcountTable' && cluster > 0
          view.setBigUint64(file[table as 'l1'] + entry * 8, BigInt(cluster * file.clusterSize) | (hasFlags ? flags : 0n))
        }
        const found = await inspectBytes(file.bytes)
        if (found.kind === 'refused') return
        accepted++
        const path = folder.file('image')
        await Bun.write(path, file.bytes)
        const checked = Bun.spawnSync(['qemu-img', 'check', '-f', 'qcow2', '--output=json', path])
        const { corruptions = 0, 'check-errors': errors = 0 } = JSON.parse(checked.stdout.toString()) as { corruptions?: number; 'check-errors'?: number }
        expect({ corruptions, errors }).toEqual({ corruptions: 0, errors: 0 })
      }),
      propertyOptions(300),
    )
    expect(accepted).toBeGreaterThan(0)
  },
  120_000,
)
