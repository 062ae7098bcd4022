// Inspects one of the most expensive images that the checks allow, and prints what that cost. It runs in a process of its own, so that its memory is
// not that of the test runner. The images exist only as functions: their lengths are terabytes.
//
//   bun formats-attack-program.ts <name>

import { inspectImage } from '../../../agent/images/formats/inspection.ts'
import type { ImageBytes } from '../../../agent/images/formats/probe.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { monitorLoop } from '../agents/loop-stretches.ts'
import { residentBytesMax, resetResidentBytesMax } from '../agents/resident-memory.ts'

/** What an inspection cost. */
export interface AttackCost {
  readonly outcome: string
  /** Most memory beyond that before the inspection. */
  readonly growthBytes: number
  readonly cpuMs: number
  /** Longest time without the event loop, in CPU time. */
  readonly longestMs: number
  readonly reads: number
  readonly readBytes: number
}

interface Plan {
  readonly clusterBits: number
  readonly virtualSize: number
  /** Length of the file in clusters. */
  readonly clusters: number
  /** Number of L2 tables, which end where the file ends. All their entries are zero. */
  readonly tables: number
  readonly order: 'ascending' | 'descending' | 'scattered'
}

/** Bytes that are read between two collections. */
const GARBAGE_BYTES_MAX = 8 * 1024 * 1024

const PLANS: Readonly<Record<string, Plan>> = {
  // The longest L1 table, with the smallest clusters, in an order that makes every read go elsewhere.
  'small clusters': { clusterBits: 9, virtualSize: 2 ** 37, clusters: 8 * 2 ** 20, tables: 4 * 2 ** 20, order: 'scattered' },
  'a long file': { clusterBits: 16, virtualSize: 64 * 1024 ** 4, clusters: 2 ** 28, tables: 2 ** 14, order: 'descending' },
  'large clusters': { clusterBits: 21, virtualSize: 64 * 1024 ** 4, clusters: 2 ** 23, tables: 128, order: 'descending' },
}

/** Returns the qcow2 of a plan. Its refcounts are all 1: header, refcount table, L1 table and refcount blocks come first. */
function imageOf({ clusterBits, virtualSize, clusters, tables, order }: Plan): ImageBytes {
  const clusterSize = 2 ** clusterBits
  const blocks = Math.ceil(clusters / (clusterSize * 8))
  const refcountTableClusters = Math.ceil((blocks * 8) / clusterSize)
  const l1Size = Math.ceil(virtualSize / (clusterSize * (clusterSize / 8)))
  const l1Start = (1 + refcountTableClusters) * clusterSize
  const blockStart = l1Start + Math.ceil((l1Size * 8) / clusterSize) * clusterSize
  const blockEnd = blockStart + blocks * clusterSize
  const header = new Uint8Array(clusterSize)
  const view = new DataView(header.buffer)
  header.set([0x51, 0x46, 0x49, 0xfb])
  view.setUint32(4, 3)
  view.setUint32(20, clusterBits)
  view.setBigUint64(24, BigInt(virtualSize))
  view.setUint32(36, l1Size)
  view.setBigUint64(40, BigInt(l1Start))
  view.setBigUint64(48, BigInt(clusterSize))
  view.setUint32(56, refcountTableClusters)
  // Refcounts of one bit.
  view.setUint32(96, 0)
  view.setUint32(100, 104)
  /** Returns the cluster of an L2 table. */
  const tableAt = (i: number): number => {
    if (i >= tables) return 0
    if (order === 'ascending') return clusters - tables + i
    // The number of tables is a power of 2, and the factor is odd, so every table has a place of its own.
    return clusters - 1 - (order === 'descending' ? i : Math.imul(i, 0x9e37_79b1) & (tables - 1))
  }
  const wordAt = (at: number): number => {
    if (at < l1Start) return at / 8 - clusterSize / 8 < blocks ? blockStart + (at / 8 - clusterSize / 8) * clusterSize : 0
    return tableAt((at - l1Start) / 8) * clusterSize
  }
  return {
    length: clusters * clusterSize,
    async readAt(offset, length) {
      const bytes = new Uint8Array(length)
      const words = new DataView(bytes.buffer)
      if (offset < clusterSize) bytes.set(header.subarray(offset, Math.min(clusterSize, offset + length)))
      for (let at = Math.max(offset, clusterSize); at < Math.min(offset + length, blockStart); at += 8) {
        const word = wordAt(at)
        words.setUint32(at - offset, Math.floor(word / 2 ** 32))
        words.setUint32(at - offset + 4, word % 2 ** 32)
      }
      if (offset + length > blockStart && offset < blockEnd) bytes.fill(0xff, Math.max(0, blockStart - offset), Math.min(length, blockEnd - offset))
      return bytes
    },
  }
}

async function attack(name: string): Promise<AttackCost> {
  const plan = PLANS[name]
  if (!plan) throw new Error(`there is no attack "${name}"`)
  const image = imageOf(plan)
  let reads = 0
  let readBytes = 0
  const counted: ImageBytes = {
    length: image.length,
    readAt(offset, length) {
      reads++
      readBytes += length
      // What the collector has not got round to yet is not memory that the inspection holds.
      if (Math.floor(readBytes / GARBAGE_BYTES_MAX) !== Math.floor((readBytes - length) / GARBAGE_BYTES_MAX)) Bun.gc(true)
      return image.readAt(offset, length)
    },
  }
  Bun.gc(true)
  resetResidentBytesMax(process.pid)
  const before = residentBytesMax(process.pid)
  const cpuBefore = process.cpuUsage()
  const loop = monitorLoop()
  const inspection = await inspectImage(counted, null, { clock: systemClock })
  const { longestMs } = loop.stop()
  const { user } = process.cpuUsage(cpuBefore)
  const outcome = inspection.kind === 'refused' ? inspection.reason : `accepted ${inspection.format}`
  return { outcome, growthBytes: residentBytesMax(process.pid) - before, cpuMs: user / 1000, longestMs, reads, readBytes }
}

console.log(JSON.stringify(await attack(process.argv[2] ?? '')))
