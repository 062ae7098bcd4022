// A disk with fault injection: the n-th operation ends in an error, a short or torn write, a process crash or a power cut. Files on the real disk
// have the content of the page cache. The disk also tracks the content on stable storage; a power cut keeps that and a random part of the rest.

import { mkdir, readdir, readFile, rename as move, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Random } from '../properties.ts'

/**
 * Fault of an operation. `EIO` and `ENOSPC` fail without any effect (ENOSPC only for operations that need space). `late` performs the operation
 * and then fails with EIO. `short` and `torn` write a part and fail with ENOSPC and EIO. `kill` crashes the process at the operation. `power`
 * also loses data that is not synced.
 */
export type Fault = 'EIO' | 'ENOSPC' | 'late' | 'short' | 'torn' | 'kill' | 'power'
export const FAULTS: readonly Fault[] = ['EIO', 'ENOSPC', 'late', 'short', 'torn', 'kill', 'power']

export interface FaultPlan {
  /** Number of the operation, starting with 1. */
  readonly at: number
  readonly fault: Fault
  /** Whether all later operations fail too, until `clearFault`. Default: only one fails. */
  readonly lasting?: boolean
}

export interface FaultyDisk extends Disk {
  /** Number of operations since the last `plan`. */
  readonly operations: number
  /** Whether the process has crashed through `kill` or `power`. Every operation throws until `revive`. */
  readonly isDead: boolean
  /** Whether the planned fault has occurred. */
  readonly hasFailed: boolean
  /** Resets the count of operations and applies a new plan. */
  plan(plan: FaultPlan | undefined): void
  /** Ends a lasting fault. */
  clearFault(): void
  /**
   * Simulates a power cut. Of the data that is not on stable storage, the part `kept` (0 to 1) is kept at random; by default the part is random
   * too. Every operation throws until `revive`.
   */
  losePower(random: Random, kept?: number): Promise<void>
  /** Restarts the machine or the process. */
  revive(): void
}

interface FileNode {
  readonly kind: 'file'
  readonly durable: DurableBytes
  /** Changes since the last sync, in order. */
  pending: Change[]
}

interface FolderNode {
  readonly kind: 'folder'
  readonly entries: Map<string, Node>
  readonly durable: Map<string, Node>
}

type Node = FileNode | FolderNode

type Change = { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer } | { readonly kind: 'truncate'; readonly length: number }

/** A change of directory entries that is durable once one of its folders is synced. */
interface NameChange {
  readonly folders: readonly FolderNode[]
  readonly apply: () => void
  isDurable: boolean
}

const SECTOR_BYTES = 512

/** Creates a disk over a folder of the real disk. Existing files are on stable storage. Operations on other paths never fail. */
export async function createFaultyDisk(root: string): Promise<FaultyDisk> {
  const real = createDisk()
  const tree = await readTree(root)
  let names: NameChange[] = []
  let plan: FaultPlan | undefined
  let count = 0
  let isDead = false
  let hasFailed = false
  let temporaries = 0

  const isOurs = (path: string): boolean => path === root || path.startsWith(`${root}/`)
  const find = (path: string): Node | undefined => {
    let at: Node | undefined = tree
    for (const part of path
      .slice(root.length)
      .split('/')
      .filter((name) => name !== ''))
      at = at?.kind === 'folder' ? at.entries.get(part) : undefined
    return at
  }
  const folderOf = (path: string): FolderNode => {
    const folder = find(dirname(path))
    if (folder?.kind !== 'folder') throw systemError('ENOENT', path)
    return folder
  }
  const changeNames = (folders: readonly FolderNode[], apply: (view: 'entries' | 'durable') => void): void => {
    apply('entries')
    names.push({ folders, apply: () => apply('durable'), isDurable: false })
  }

  /** Counts an operation and returns its planned fault. The process may crash here. */
  const step = (needsSpace: boolean): Fault | undefined => {
    if (isDead) throw systemError('EIO', 'the process has crashed')
    count++
    if (!plan || (plan.lasting ? count < plan.at : count !== plan.at)) return undefined
    if (plan.fault === 'ENOSPC' && !needsSpace) return undefined
    hasFailed = true
    if (plan.fault === 'kill' || plan.fault === 'power') isDead = true
    return plan.fault
  }
  /** Runs an atomic operation. */
  const whole = async <Result>(path: string, needsSpace: boolean, run: () => Promise<Result>): Promise<Result> => {
    const fault = step(needsSpace)
    if (fault === 'late') {
      await run()
      throw systemError('EIO', path)
    }
    if (fault !== undefined) throw systemError(fault === 'ENOSPC' || fault === 'short' ? 'ENOSPC' : 'EIO', path)
    return run()
  }

  /** An fsync takes time: one that nobody waits for has no effect if the power goes first. */
  const reachPlatter = async (path: string): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    if (isDead) throw systemError('EIO', path)
  }

  const opened = async (path: string, needsSpace: boolean, open: () => Promise<DiskFile>): Promise<DiskFile> => {
    let file: DiskFile | undefined
    try {
      await whole(path, needsSpace, async () => {
        file = await open()
      })
    } catch (error) {
      await file?.close()
      throw error
    }
    if (!file) throw systemError('EIO', path)
    return openFile(file, fileAt(find(path), path), path)
  }

  const openFile = (file: DiskFile, node: FileNode, path: string): DiskFile => {
    const write = async (parts: readonly Uint8Array[], at: number): Promise<void> => {
      const bytes = Buffer.concat(parts)
      const fault = step(true)
      const isPart = fault === 'short' || fault === 'torn' || fault === 'kill' || fault === 'power'
      const done = fault === undefined || fault === 'late' ? bytes : isPart ? bytes.subarray(0, Math.floor(bytes.length / 2)) : Buffer.alloc(0)
      if (done.length > 0) {
        await file.write([done], at)
        node.pending.push({ kind: 'write', at, bytes: done })
      }
      if (fault === 'torn' && bytes.length > SECTOR_BYTES) {
        // The end is written, but the middle is not.
        const end = bytes.subarray(-SECTOR_BYTES)
        await file.write([end], at + bytes.length - end.length)
        node.pending.push({ kind: 'write', at: at + bytes.length - end.length, bytes: end })
      }
      if (fault !== undefined) throw systemError(fault === 'ENOSPC' || fault === 'short' ? 'ENOSPC' : 'EIO', path)
    }
    const close = async (): Promise<void> => {
      // The file is closed even if closing fails or the process has crashed.
      await file.close()
      await whole(path, false, async () => {})
    }
    return {
      read: (into, at) => whole(path, false, () => file.read(into, at)),
      write,
      async sync() {
        const taken = new Set(node.pending)
        const fault = step(true)
        if (fault !== undefined && fault !== 'late' && !isDead) {
          // A failed fsync marks the pages clean: they remain in the cache, but a later fsync does not write them.
          node.pending = []
        }
        if (fault === undefined || fault === 'late') {
          await reachPlatter(path)
          for (const change of node.pending) if (taken.has(change)) node.durable.apply(change)
          node.pending = node.pending.filter((change) => !taken.has(change))
        }
        if (fault !== undefined) throw systemError(fault === 'ENOSPC' || fault === 'short' ? 'ENOSPC' : 'EIO', path)
      },
      truncate: (length) =>
        whole(path, false, async () => {
          await file.truncate(length)
          node.pending.push({ kind: 'truncate', length })
        }),
      length: () => whole(path, false, () => file.length()),
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  const disk: FaultyDisk = {
    get operations() {
      return count
    },
    get isDead() {
      return isDead
    },
    get hasFailed() {
      return hasFailed
    },
    plan(next) {
      plan = next
      count = 0
      hasFailed = false
    },
    clearFault() {
      plan = undefined
    },
    revive() {
      isDead = false
      plan = undefined
    },
    async losePower(random, kept = random.pick([0, 0.5, 1])) {
      isDead = true
      for (const change of names) if (!change.isDurable && random.chance(kept)) change.apply()
      names = []
      for (const name of await readdir(root)) await rm(join(root, name), { recursive: true })
      await settle(tree, root, random, kept)
    },

    async openRead(path) {
      if (!isOurs(path)) return real.openRead(path)
      return opened(path, false, () => real.openRead(path))
    },
    async openWrite(path, mode) {
      if (!isOurs(path)) return real.openWrite(path, mode)
      return opened(path, mode === 'create', async () => {
        const file = await real.openWrite(path, mode)
        if (mode === 'create') {
          const node: FileNode = { kind: 'file', durable: new DurableBytes(), pending: [] }
          const folder = folderOf(path)
          changeNames([folder], (view) => void folder[view].set(basename(path), node))
        }
        return file
      })
    },
    async readFile(path, lengthMax) {
      return isOurs(path) ? whole(path, false, () => real.readFile(path, lengthMax)) : real.readFile(path, lengthMax)
    },
    async writeFileAtomic(path, bytes) {
      if (!isOurs(path)) return real.writeFileAtomic(path, bytes)
      const temporary = join(dirname(path), `.${basename(path)}.${temporaries++}.tmp`)
      try {
        const file = await disk.openWrite(temporary, 'create')
        try {
          await file.write([typeof bytes === 'string' ? Buffer.from(bytes) : bytes], 0)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, path)
      } catch (error) {
        await unlink(temporary).catch(() => {})
        throw error
      }
      await disk.syncFolder(dirname(path))
    },
    async rename(from, to) {
      if (!isOurs(from)) return real.rename(from, to)
      await rename(from, to)
      await disk.syncFolder(dirname(to))
      if (dirname(from) !== dirname(to)) await disk.syncFolder(dirname(from))
    },
    async remove(path) {
      if (!isOurs(path)) return real.remove(path)
      if (!(await unlink(path))) return
      await disk.syncFolder(dirname(path))
    },
    async removeTree(path) {
      if (!isOurs(path)) return real.removeTree(path)
      await whole(path, false, async () => {
        await rm(path, { recursive: true, force: true })
        const folder = folderOf(path)
        changeNames([folder], (view) => void folder[view].delete(basename(path)))
      })
      await disk.syncFolder(dirname(path))
    },
    async makeFolder(path) {
      if (!isOurs(path)) return real.makeFolder(path)
      if (find(path)) return whole(path, false, async () => {})
      if (path !== root) await disk.makeFolder(dirname(path))
      await whole(path, true, async () => {
        await mkdir(path)
        const folder = folderOf(path)
        const node: FolderNode = { kind: 'folder', entries: new Map(), durable: new Map() }
        changeNames([folder], (view) => void folder[view].set(basename(path), node))
      })
      await disk.syncFolder(dirname(path))
    },
    async list(path) {
      return isOurs(path) ? whole(path, false, () => real.list(path)) : real.list(path)
    },
    async stat(path) {
      return isOurs(path) ? whole(path, false, () => real.stat(path)) : real.stat(path)
    },
    async syncFolder(path) {
      if (!isOurs(path)) return real.syncFolder(path)
      await whole(path, false, async () => {
        const folder = find(path)
        const taken = new Set(names.filter(({ folders }) => folders.some((one) => one === folder)))
        await reachPlatter(path)
        for (const change of names) {
          if (change.isDurable || !taken.has(change)) continue
          change.apply()
          change.isDurable = true
        }
        names = names.filter(({ isDurable }) => !isDurable)
      })
    },
    async space(path) {
      return isOurs(path) ? whole(path, false, () => real.space(path)) : real.space(path)
    },
  }

  const rename = (from: string, to: string): Promise<void> =>
    whole(to, true, async () => {
      const node = find(from)
      if (!node) throw systemError('ENOENT', from)
      const [source, target] = [folderOf(from), folderOf(to)]
      await move(from, to)
      changeNames([source, target], (view) => {
        source[view].delete(basename(from))
        target[view].set(basename(to), node)
      })
    })

  /** Removes a file. Returns false if it does not exist. */
  const unlink = (path: string): Promise<boolean> =>
    whole(path, false, async () => {
      if (find(path)?.kind !== 'file') return false
      await rm(path)
      const folder = folderOf(path)
      changeNames([folder], (view) => void folder[view].delete(basename(path)))
      return true
    })

  return disk
}

function fileAt(node: Node | undefined, path: string): FileNode {
  if (node?.kind !== 'file') throw systemError('ENOENT', path)
  return node
}

/** Reads all files below a folder as durable. */
async function readTree(path: string): Promise<FolderNode> {
  const entries = new Map<string, Node>()
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const below = join(path, entry.name)
    entries.set(entry.name, entry.isDirectory() ? await readTree(below) : { kind: 'file', durable: new DurableBytes(await readFile(below)), pending: [] })
  }
  return { kind: 'folder', entries, durable: new Map(entries) }
}

/** Writes the state of a folder after a power cut, and makes it the current state. */
async function settle(folder: FolderNode, path: string, random: Random, kept: number): Promise<void> {
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
class DurableBytes {
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

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated by a test, ${path}`), { code })
}
