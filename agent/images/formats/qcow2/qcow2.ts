// qcow2 of version 2 and 3 (QEMU, docs/interop/qcow2), big endian. Refuses images that make a reader open another file, that are damaged or cut off,
// and that use a cluster for two purposes. Reads only tables: one byte in 8,000 of a full image with clusters of 64 KiB.

import { startsWith } from '../format.ts'
import type { DetectedFacts, ImageProbe, NativeDetection } from '../format.ts'
import { claimBitmaps } from './bitmaps.ts'
import { createClusterMap } from './cluster-map.ts'
import type { ClusterMap } from './cluster-map.ts'
import { EXTENSIONS_BYTES_MAX, readExtensions } from './extensions.ts'
import type { BitmapDirectory } from './extensions.ts'
import { readHeader } from './header.ts'
import type { Qcow2Header } from './header.ts'
import { checkRefcounts, claimRefcountBlocks, readRefcountTable } from './refcounts.ts'
import { l2TablesOf, readL1, walkL2 } from './tables.ts'
import type { TableTotals } from './tables.ts'

const MAGIC = 'QFI\u00fb'
/** Version 1 is another format (signatures.ts). */
const MAGIC_V1 = 'QFI\u00fb\0\0\0\u0001'

export async function detectQcow2(probe: ImageProbe): Promise<NativeDetection | undefined> {
  const head = await probe.readAt(0, EXTENSIONS_BYTES_MAX)
  if (!startsWith(head, MAGIC) || startsWith(head, MAGIC_V1)) return undefined
  const { version, virtualSize, header, refusals } = readHeader(head, probe.length)
  if (!header) return { format: 'qcow2', virtualSize, refusals, facts: { variant: version > 0 ? String(version) : null } }
  const extensions = readExtensions(head, header.headerLength, header.clusterSize)
  const facts: DetectedFacts = { variant: String(version), clusterSize: header.clusterSize }
  const refused = (...clauses: readonly string[]): NativeDetection => ({ format: 'qcow2', virtualSize, refusals: clauses, facts })
  if (extensions.refusals.length > 0) return refused(...extensions.refusals)
  const totals = await walk(probe, header, header.hasBitmaps ? extensions.bitmaps : null)
  if (typeof totals === 'string') return refused(totals)
  const compression = totals.compressedClusters > 0 ? header.compression : null
  return { format: 'qcow2', virtualSize, refusals: [], facts: { ...facts, compression, allocatedSize: totals.allocatedBytes } }
}

/** Walks all tables, once for each window of the file. Returns the first refusal. */
async function walk(probe: ImageProbe, header: Qcow2Header, bitmaps: BitmapDirectory | null): Promise<TableTotals | string> {
  const map = createClusterMap(Math.ceil(probe.length / header.clusterSize))
  if (!map) return 'it has too many clusters to be checked (larger ones would do: qemu-img convert -O qcow2 -o cluster_size=64k)'
  const l1 = await readL1(probe, header)
  if (typeof l1 === 'string') return l1
  const refcounts = await readRefcountTable(probe, header)
  if (typeof refcounts === 'string') return refcounts
  const tables = l2TablesOf(probe, header, l1)
  let totals: TableTotals = { allocatedBytes: 0, compressedClusters: 0 }
  for (let window = 0; window < map.windows; window++) {
    map.begin(window)
    const claimFault =
      claimFixed(header, map) ??
      (await claimRefcountBlocks(probe, refcounts, map)) ??
      (bitmaps ? await claimBitmaps({ probe, header, map }, bitmaps) : undefined)
    if (claimFault !== undefined) return claimFault
    const found = await walkL2(probe, header, tables, map)
    if (typeof found === 'string') return found
    totals = found
    const refcountFault = await checkRefcounts(probe, header, refcounts, map)
    if (refcountFault !== undefined) return refcountFault
  }
  return totals
}

/** Claims the clusters of the header and of the tables that it names. */
function claimFixed({ clusterSize, l1Offset, l1Size, refcountOffset, refcountTableBytes }: Qcow2Header, map: ClusterMap): string | undefined {
  const structures = [
    { offset: 0, bytes: clusterSize },
    { offset: l1Offset, bytes: l1Size * 8 },
    { offset: refcountOffset, bytes: refcountTableBytes },
  ]
  for (const { offset, bytes } of structures) {
    const end = Math.ceil((offset + bytes) / clusterSize)
    for (let cluster = offset / clusterSize; cluster < end; cluster++) if (!map.claim(cluster)) return 'its tables overlap'
  }
  return undefined
}
