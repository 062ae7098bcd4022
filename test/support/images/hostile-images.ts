// The most expensive images that the checks of formats allow. They exist only as functions: their lengths are terabytes.

import type { ImageBytes } from '../../../agent/images/formats/probe.ts'
import { sparse, SPARSE_AT, stream, u64 } from '../../agent/images/formats/cases/vmdk-image.ts'
import { handmadeGpt } from '../../agent/images/formats/cases/partition-cases.ts'
import { patched } from '../../agent/images/formats/cases/format-case.ts'
import { copied, imageOfBytes } from './inspected.ts'
import { buildQcow2 } from './qcow2-image.ts'

const SECTOR = 512

/** Places of tables in a file: in the order of their numbers, in the opposite order, or such that every read goes elsewhere. */
type Order = 'ascending' | 'descending' | 'scattered'

/** Returns the place of each of `count` tables, a power of 2, from 0 on. The factor is odd, so every table has a place of its own. */
function placeOf(i: number, count: number, order: Order): number {
  return order === 'ascending' ? i : order === 'descending' ? count - 1 - i : Math.imul(i, 0x9e37_79b1) & (count - 1)
}

interface Qcow2Plan {
  readonly clusterBits: number
  readonly virtualSize: number
  /** Length of the file in clusters. */
  readonly clusters: number
  /** Number of L2 tables, which end where the file ends. All their entries are zero. */
  readonly tables: number
  readonly order: Order
}

/** Returns the qcow2 of a plan. Its refcounts are all 1: header, refcount table, L1 table and refcount blocks come first. */
function qcow2Of({ clusterBits, virtualSize, clusters, tables, order }: Qcow2Plan): ImageBytes {
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
  const wordAt = (at: number): number => {
    if (at < l1Start) return at / 8 - clusterSize / 8 < blocks ? blockStart + (at / 8 - clusterSize / 8) * clusterSize : 0
    const i = (at - l1Start) / 8
    return i < tables ? (clusters - tables + placeOf(i, tables, order)) * clusterSize : 0
  }
  return {
    length: clusters * clusterSize,
    async readInto(offset, buffer) {
      const { byteLength: length } = buffer
      const words = new DataView(buffer.buffer, buffer.byteOffset, length)
      buffer.fill(0)
      if (offset < clusterSize) buffer.set(header.subarray(offset, Math.min(clusterSize, offset + length)))
      for (let at = Math.max(offset, clusterSize); at < Math.min(offset + length, blockStart); at += 8) {
        const word = wordAt(at)
        words.setUint32(at - offset, Math.floor(word / 2 ** 32))
        words.setUint32(at - offset + 4, word % 2 ** 32)
      }
      if (offset + length > blockStart && offset < blockEnd) buffer.fill(0xff, Math.max(0, blockStart - offset), Math.min(length, blockEnd - offset))
      return length
    },
  }
}

/** Returns a vmdk with the most grain tables, all of whose 512 entries are zero, after a directory that names them in an order. */
function vmdkOf(order: Order, tableSectors = 4): ImageBytes {
  const tables = 2 * 2 ** 20
  const capacity = tables * 512 * 128
  const directoryStart = SPARSE_AT.directory * SECTOR
  const tablesStart = directoryStart + tables * 4
  const text = new TextDecoder().decode(sparse().subarray(SECTOR, directoryStart)).replace(/RW \d+/, `RW ${capacity}`)
  const head = patched(sparse().subarray(0, directoryStart), [12, u64(capacity)], [SECTOR, text.slice(0, directoryStart - SECTOR)])
  return {
    length: tablesStart + tables * tableSectors * SECTOR,
    async readInto(offset, buffer) {
      buffer.fill(0)
      // Most reads are of tables: what they leave to the collector would count as memory of the inspection.
      if (offset >= tablesStart) return buffer.byteLength
      copied(head.subarray(offset), buffer)
      const words = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      for (let at = Math.max(offset, directoryStart); at < Math.min(offset + buffer.byteLength, tablesStart); at += 4) {
        const i = (at - directoryStart) / 4
        words.setUint32(at - offset, tablesStart / SECTOR + placeOf(i, tables, order) * tableSectors, true)
      }
      return buffer.byteLength
    },
  }
}

/** Returns a vmdk whose descriptor of 1,047,552 bytes is one text, repeated. */
function descriptorOf(text: string): ImageBytes {
  const sectors = 2046
  const bytes = patched(new Uint8Array((1 + sectors) * SECTOR), [0, sparse().subarray(0, SECTOR)], [28, u64(1, sectors)])
  const line = new TextEncoder().encode(text)
  bytes.fill(10, SECTOR)
  for (let at = SECTOR; at + line.byteLength <= bytes.byteLength; at += line.byteLength) bytes.set(line, at)
  return imageOfBytes(bytes)
}

/** Images by the name of their attack. */
export const HOSTILE_IMAGES: Readonly<Record<string, () => ImageBytes>> = {
  // The longest L1 table, with the smallest clusters.
  'qcow2 with small clusters': () => qcow2Of({ clusterBits: 9, virtualSize: 2 ** 37, clusters: 8 * 2 ** 20, tables: 4 * 2 ** 20, order: 'scattered' }),
  'qcow2 with a long file': () => qcow2Of({ clusterBits: 16, virtualSize: 64 * 1024 ** 4, clusters: 2 ** 28, tables: 2 ** 14, order: 'descending' }),
  'qcow2 with large clusters': () => qcow2Of({ clusterBits: 21, virtualSize: 64 * 1024 ** 4, clusters: 2 ** 23, tables: 128, order: 'descending' }),
  'vmdk with the most grain tables': () => vmdkOf('ascending'),
  'vmdk with scattered grain tables': () => vmdkOf('scattered'),
  'vmdk with grain tables far apart': () => vmdkOf('scattered', 256),
  'vmdk with a descriptor of short lines': () => descriptorOf('a=b\n'),
  'vmdk with a descriptor of one line': () => descriptorOf('a'),
}

/** Returns an image of each format. */
export function smallImages(): ImageBytes[] {
  return [buildQcow2().bytes, sparse(), stream(), handmadeGpt(64 * 1024)].map(imageOfBytes)
}
