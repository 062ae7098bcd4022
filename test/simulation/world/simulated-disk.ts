// A disk in memory that loses what was not synced. It shows every process the present contents, as the page cache does, and remembers what is
// on stable storage. Each operation is an event of the scheduler, so a crash or a power cut can come between any two.

import { basename, dirname } from 'node:path'
import type { Disk, DiskFile, FileStat } from '../../../agent/contract/disk.ts'
import type { Random } from '../../support/properties.ts'
import type { Scheduler } from './scheduler.ts'

const SECTOR_BYTES = 512
/** Size of the disk in bytes. */
const DISK_BYTES = 64 * 1024 * 1024

/** What the disk says is free: enough for every script, and too little for the agents' ballast, which would only cost time. */
const FREE_BYTES = 4 * 1024 * 1024 - 1

/** What an operation does instead of its work: nothing and an error, or its work and an error. */
export type DiskFault = 'EIO' | 'ENOSPC' | 'late'

type Change = { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer } | { readonly kind: 'truncate'; readonly length: number }

class Content {
  #bytes: Buffer = Buffer.alloc(0)
  length = 0

  static of(bytes: Uint8Array): Content {
    const content = new Content()
    content.apply({ kind: 'write', at: 0, bytes: Buffer.from(bytes) })
    return content
  }

  get view(): Buffer {
    return this.#bytes.subarray(0, this.length)
  }

  apply(change: Change): void {
    const end = change.kind === 'write' ? change.at + change.bytes.byteLength : change.length
    if (end > this.#bytes.byteLength) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.byteLength * 2))
      grown.set(this.view)
      this.#bytes = grown
    }
    if (change.kind === 'write') {
      this.#bytes.set(change.bytes, change.at)
      this.length = Math.max(this.length, end)
    } else {
      if (end < this.length) this.#bytes.fill(0, end, this.length)
      this.length = end
    }
  }
}

interface FileNode {
  readonly kind: 'file'
  /** What a process reads. */
  content: Content
  /** What is on stable storage. */
  durable: Content
  /** Changes since the last sync, in order. */
  pending: Change[]
  modifiedMs: number
}

interface FolderNode {
  readonly kind: 'folder'
  readonly entries: Map<string, Node>
  readonly durable: Map<string, Node>
}

type Node = FileNode | FolderNode

/** A change of names, which is durable once one of its folders is synced. */
interface NameChange {
  readonly folders: readonly FolderNode[]
  readonly apply: () => void
}

/** A file of the disk by its path, for whoever damages or inspects it from outside. */
export interface StoredFile {
  readonly path: string
  readonly bytes: Buffer
}

export class SimulatedDisk {
  readonly #scheduler: Scheduler
  readonly root: string
  readonly #tree: FolderNode = createFolder()
  #names: NameChange[] = []
  #temporaries = 0
  #fault: { left: number; readonly fault: DiskFault } | undefined
  /** Writes that a process has asked for and that did not happen yet. */
  readonly #flying = new Set<{ readonly node: FileNode; readonly at: number; readonly bytes: () => Buffer }>()
  /** Whether a planned failure came since the last start of a process, and whether one was planned whose effects may last. */
  hasFailed = false
  mayFail = false

  constructor(scheduler: Scheduler, root: string) {
    this.#scheduler = scheduler
    this.root = root
  }

  /** The n-th operation from now fails, once. */
  failAt(operations: number, fault: DiskFault): void {
    this.#fault = { left: operations, fault }
    this.mayFail = true
  }

  /** Takes back a failure that did not come yet. */
  clearFault(): void {
    this.#fault = undefined
  }

  /** The process that used the disk ends: its writes in progress are done in part. */
  processEnded(random: Random): void {
    this.#fault = undefined
    for (const { node, at, bytes } of this.#flying) {
      const all = bytes()
      if (random.chance(0.5)) this.#write(node, at, Buffer.from(all.subarray(0, random.below(all.byteLength + 1))))
    }
    this.#flying.clear()
  }

  /** The power goes: what is not on stable storage is kept as a whole, in part, or not at all. */
  losePower(random: Random): void {
    this.processEnded(random)
    const kept = random.pick([0, 0.5, 1])
    for (const change of this.#names) if (random.chance(kept)) change.apply()
    this.#names = []
    settle(this.#tree, random, kept)
  }

  /** Every file whose path matches, as it is read now. */
  *files(pattern: RegExp): Generator<StoredFile> {
    for (const [path, node] of walk(this.#tree, this.root)) if (node.kind === 'file' && pattern.test(path)) yield { path, bytes: node.content.view }
  }

  /** Changes bytes of a file where they are stored, as a disk that rots does. */
  damage(path: string, at: number, bytes: Uint8Array): void {
    const node = this.#find(path)
    if (node?.kind !== 'file') return
    const change: Change = { kind: 'write', at, bytes: Buffer.from(bytes) }
    node.content.apply(change)
    node.durable.apply(change)
  }

  /** The disk as an agent uses it. */
  mounted(): Disk {
    return {
      openRead: (path) => this.#operation(`open ${this.#short(path)}`, false, () => this.#open(path)),
      openWrite: (path, mode) =>
        this.#operation(`${mode} ${this.#short(path)}`, mode === 'create', () => (mode === 'create' ? this.#create(path) : this.#open(path))),
      readFile: (path, lengthMax) =>
        this.#operation(`read ${this.#short(path)}`, false, () => {
          const { content } = this.#file(path)
          if (content.length > lengthMax) throw new RangeError(`${path} is ${content.length} bytes long, the limit is ${lengthMax}`)
          return Uint8Array.from(content.view)
        }),
      writeFileAtomic: (path, bytes) => this.#writeFileAtomic(path, bytes),
      rename: async (from, to) => {
        await this.#rename(from, to)
        await this.#syncFolder(dirname(to))
        if (dirname(from) !== dirname(to)) await this.#syncFolder(dirname(from))
      },
      remove: async (path) => {
        if (await this.#remove(path)) await this.#syncFolder(dirname(path))
      },
      removeTree: async (path) => {
        await this.#operation(`rm -r ${this.#short(path)}`, false, () => {
          if (this.#find(path)) this.#changeNames([this.#folder(dirname(path))], (view, [folder]) => void folder?.[view].delete(basename(path)))
        })
        await this.#syncFolder(dirname(path))
      },
      makeFolder: (path) => this.#makeFolder(path),
      list: (path) =>
        this.#operation(`list ${this.#short(path)}`, false, () => {
          const node = this.#find(path)
          if (node?.kind === 'file') throw systemError('ENOTDIR', path)
          return [...(node?.entries.keys() ?? [])]
        }),
      stat: (path) =>
        this.#operation(`stat ${this.#short(path)}`, false, (): FileStat | undefined => {
          const node = this.#find(path)
          if (!node) return undefined
          return node.kind === 'file'
            ? { kind: 'file', length: node.content.length, modifiedMs: node.modifiedMs }
            : { kind: 'folder', length: 0, modifiedMs: 0 }
        }),
      syncFolder: (path) => this.#syncFolder(path),
      space: () => this.#operation('space', false, () => ({ totalBytes: DISK_BYTES, freeBytes: FREE_BYTES })),
    }
  }

  #short(path: string): string {
    return path.slice(this.root.length + 1)
  }

  /** One operation: an event that works, fails as planned, or is lost with its process. */
  #operation<T>(label: string, needsSpace: boolean, run: () => T): Promise<T> {
    return this.#scheduler.operation(label, () => {
      const planned = this.#fault
      if (!planned || --planned.left > 0) return run()
      this.#fault = undefined
      if (planned.fault === 'ENOSPC' && !needsSpace) return run()
      this.hasFailed = true
      if (planned.fault === 'late') run()
      throw systemError(planned.fault === 'ENOSPC' ? 'ENOSPC' : 'EIO', label)
    })
  }

  #find(path: string): Node | undefined {
    let at: Node | undefined = this.#tree
    for (const part of path.slice(this.root.length).split('/')) if (part !== '') at = at?.kind === 'folder' ? at.entries.get(part) : undefined
    return at
  }

  #file(path: string): FileNode {
    const node = this.#find(path)
    if (!node) throw systemError('ENOENT', path)
    if (node.kind !== 'file') throw systemError('EISDIR', path)
    return node
  }

  #folder(path: string): FolderNode {
    const node = this.#find(path)
    if (node?.kind !== 'folder') throw systemError('ENOENT', path)
    return node
  }

  #changeNames(folders: readonly FolderNode[], apply: (view: 'entries' | 'durable', folders: readonly FolderNode[]) => void): void {
    apply('entries', folders)
    this.#names.push({ folders, apply: () => apply('durable', folders) })
  }

  #write(node: FileNode, at: number, bytes: Buffer): void {
    const change: Change = { kind: 'write', at, bytes }
    node.content.apply(change)
    node.pending.push(change)
    node.modifiedMs = this.#scheduler.nowMs
  }

  #create(path: string): DiskFile {
    if (this.#find(path)) throw systemError('EEXIST', path)
    const node: FileNode = { kind: 'file', content: new Content(), durable: new Content(), pending: [], modifiedMs: this.#scheduler.nowMs }
    this.#changeNames([this.#folder(dirname(path))], (view, [folder]) => void folder?.[view].set(basename(path), node))
    return this.#handle(node, this.#short(path))
  }

  #open(path: string): DiskFile {
    return this.#handle(this.#file(path), this.#short(path))
  }

  #handle(node: FileNode, name: string): DiskFile {
    const close = (): Promise<void> => this.#operation(`close ${name}`, false, () => {})
    return {
      read: (into, position) => this.#operation(`read ${name}`, false, () => node.content.view.copy(into, 0, position)),
      write: async (parts, position) => {
        const flying = { node, at: position, bytes: () => Buffer.concat(parts) }
        this.#flying.add(flying)
        try {
          await this.#operation(`write ${name} ${position}`, true, () => this.#write(node, position, flying.bytes()))
        } finally {
          this.#flying.delete(flying)
        }
      },
      sync: () => {
        // What was written before the call is durable when it resolves; later writes may be.
        return this.#operation(`sync ${name}`, true, () => {
          for (const change of node.pending) node.durable.apply(change)
          node.pending = []
        }).catch((error: unknown) => {
          // A failed fsync marks the pages clean: no later fsync writes them.
          node.pending = []
          throw error
        })
      },
      truncate: (length) =>
        this.#operation(`truncate ${name}`, false, () => {
          const change: Change = { kind: 'truncate', length }
          node.content.apply(change)
          node.pending.push(change)
        }),
      length: () => this.#operation(`length ${name}`, false, () => node.content.length),
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  async #writeFileAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
    const temporary = `${dirname(path)}/.${basename(path)}.${this.#temporaries++}.tmp`
    try {
      const file = await this.#operation(`create ${this.#short(temporary)}`, true, () => this.#create(temporary))
      try {
        await file.write([typeof bytes === 'string' ? Buffer.from(bytes) : bytes], 0)
        await file.sync()
      } finally {
        await file.close()
      }
      await this.#rename(temporary, path)
    } catch (error) {
      await this.#remove(temporary).catch(() => {})
      throw error
    }
    await this.#syncFolder(dirname(path)) // The new name.
  }

  /** Writes a file where it is, as a disk without atomic replacement does. Only a planted defect calls it. */
  async overwrite(path: string, bytes: Uint8Array | string): Promise<void> {
    const file = await this.#operation(`open ${this.#short(path)}`, true, () => this.#open(path))
    await file.truncate(0)
    await file.write([typeof bytes === 'string' ? Buffer.from(bytes) : bytes], 0)
    await file.sync()
    await file.close()
  }

  #rename(from: string, to: string): Promise<void> {
    return this.#operation(`rename ${this.#short(to)}`, true, () => {
      const node = this.#find(from)
      if (!node) throw systemError('ENOENT', from)
      this.#changeNames([this.#folder(dirname(from)), this.#folder(dirname(to))], (view, [source, target]) => {
        source?.[view].delete(basename(from))
        target?.[view].set(basename(to), node)
      })
    })
  }

  /** False when there was nothing to remove. */
  #remove(path: string): Promise<boolean> {
    return this.#operation(`rm ${this.#short(path)}`, false, () => {
      const node = this.#find(path)
      if (node?.kind !== 'file') return false
      this.#changeNames([this.#folder(dirname(path))], (view, [folder]) => void folder?.[view].delete(basename(path)))
      return true
    })
  }

  async #makeFolder(path: string): Promise<void> {
    if (await this.#operation(`stat ${this.#short(path)}`, false, () => this.#find(path)?.kind === 'folder')) return
    if (path !== this.root) await this.#makeFolder(dirname(path))
    const isNew = await this.#operation(`mkdir ${this.#short(path)}`, true, () => {
      if (this.#find(path)) return false
      const node = createFolder()
      this.#changeNames([this.#folder(dirname(path))], (view, [folder]) => void folder?.[view].set(basename(path), node))
      return true
    })
    if (isNew) await this.#syncFolder(dirname(path))
  }

  #syncFolder(path: string): Promise<void> {
    return this.#operation(`sync ${this.#short(path)}/`, false, () => {
      const folder = this.#find(path)
      if (!folder) throw systemError('ENOENT', path)
      this.#names = this.#names.filter((change) => {
        if (!change.folders.some((one) => one === folder)) return true
        change.apply()
        return false
      })
    })
  }
}

function createFolder(): FolderNode {
  return { kind: 'folder', entries: new Map(), durable: new Map() }
}

function* walk(folder: FolderNode, path: string): Generator<[string, Node]> {
  for (const [name, node] of folder.entries) {
    yield [`${path}/${name}`, node]
    if (node.kind === 'folder') yield* walk(node, `${path}/${name}`)
  }
}

/** Makes what a power cut left of a folder its present state. */
function settle(folder: FolderNode, random: Random, kept: number): void {
  folder.entries.clear()
  for (const [name, node] of folder.durable) {
    folder.entries.set(name, node)
    if (node.kind === 'folder') {
      settle(node, random, kept)
      continue
    }
    for (const change of node.pending) for (const part of partsOf(change, random, kept)) node.durable.apply(part)
    node.pending = []
    node.content = Content.of(node.durable.view)
  }
}

/** What of an unsynced change reached the disk: all, nothing, or some of its sectors. */
function partsOf(change: Change, random: Random, kept: number): Change[] {
  if (!random.chance(kept)) return []
  if (change.kind === 'truncate' || random.chance(0.5)) return [change]
  const parts: Change[] = []
  for (let at = 0; at < change.bytes.length; at += SECTOR_BYTES)
    if (random.chance(0.7)) parts.push({ kind: 'write', at: change.at + at, bytes: change.bytes.subarray(at, at + SECTOR_BYTES) })
  return parts
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${path}`), { code })
}
