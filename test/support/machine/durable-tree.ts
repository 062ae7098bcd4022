// What a disk with fault injection knows of its files: their content and names as the page cache has them and as stable storage has them, and what a power
// cut leaves of the difference.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../properties.ts'
import { systemError } from './fault-gate.ts'

export interface FileNode {
  readonly kind: 'file'
  readonly durable: DurableBytes
  /** Changes since the last sync, in order. */
  pending: Change[]
}

export interface FolderNode {
  readonly kind: 'folder'
  readonly entries: Map<string, Node>
  readonly durable: Map<string, Node>
}

export type Node = FileNode | FolderNode

type Change = { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer } | { readonly kind: 'truncate'; readonly length: number }

/** A change of directory entries that is durable once one of its folders is synced. */
export interface NameChange {
  readonly folders: readonly FolderNode[]
  readonly apply: () => void
  isDurable: boolean
}

export const SECTOR_BYTES = 512

export function fileAt(node: Node | undefined, path: string): FileNode {
  if (node?.kind !== 'file') throw systemError('ENOENT', path)
  return node
}

/** Reads all files below a folder as durable. */
export async function readTree(path: string): Promise<FolderNode> {
  const entries = new Map<string, Node>()
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const below = join(path, entry.name)
    entries.set(entry.name, entry.isDirectory() ? await readTree(below) : { kind: 'file', durable: new DurableBytes(await readFile(below)), pending: [] })
  }
  return { kind: 'folder', entries, durable: new Map(entries) }
}

/** Writes the state of a folder after a power cut, and makes it the current state. */
export async function settle(folder: FolderNode, path: string, random: Random, kept: number): Promise<void> {
  folder.entries.clear()
  for (const [name, node] of folder.durable) {
    folder.entries.set(name, node)
    const below = join(path, name)
    if (node.kind === 'folder') {
      await mkdir(below)
      await settle(node, below, random, kept)
    } else {
      for (const change of node.pending) for (const part of partsOf(change, random, kept)) node.durable.apply(part)
      node.pending = []
      await writeFile(below, node.durable.bytes)
    }
  }
}

/** Returns the part of an unsynced change that reached the disk: all, nothing, or some of its sectors. */
function partsOf(change: Change, random: Random, kept: number): Change[] {
  if (!random.chance(kept)) return []
  if (change.kind === 'truncate' || random.chance(0.5)) return [change]
  const parts: Change[] = []
  for (let at = 0; at < change.bytes.length; at += SECTOR_BYTES)
    if (random.chance(0.7)) parts.push({ kind: 'write', at: change.at + at, bytes: change.bytes.subarray(at, at + SECTOR_BYTES) })
  return parts
}

/** The bytes of a file on stable storage. Grows in place: a long pack is synced hundreds of times. */
export class DurableBytes {
  #buffer: Buffer
  #length: number

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#buffer = Buffer.from(bytes)
    this.#length = bytes.byteLength
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  apply(change: Change): void {
    if (change.kind === 'truncate') {
      this.#resize(change.length)
      return
    }
    if (change.at + change.bytes.length > this.#length) this.#resize(change.at + change.bytes.length)
    this.#buffer.set(change.bytes, change.at)
  }

  /** Cuts the bytes, or fills up with zeros. */
  #resize(length: number): void {
    if (length > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * this.#buffer.length))
      grown.set(this.bytes)
      this.#buffer = grown
    } else if (length > this.#length) {
      this.#buffer.fill(0, this.#length, length)
    }
    this.#length = length
  }
}
