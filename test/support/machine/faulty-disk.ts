// A disk with fault injection: the n-th operation ends in an error, a short or torn write, a process crash or a power cut. Files on the real disk
// have the content of the page cache. The disk also tracks the content on stable storage; a power cut keeps that and a random part of the rest.

import { mkdir, readdir, rename as move, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Random } from '../properties.ts'
import { DurableBytes, fileAt, readTree, settle } from './durable-tree.ts'
import type { FileNode, FolderNode, NameChange, Node } from './durable-tree.ts'
import { FaultGate, systemError } from './fault-gate.ts'
import type { FaultPlan } from './fault-gate.ts'
import { createFaultyFile } from './faulty-file.ts'

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

/** Creates a disk over a folder of the real disk. Existing files are on stable storage. Operations on other paths never fail. */
export async function createFaultyDisk(root: string): Promise<FaultyDisk> {
  const real = createDisk()
  const tree = await readTree(root)
  let names: NameChange[] = []
  const gate = new FaultGate()
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

  const opened = async (path: string, needsSpace: boolean, open: () => Promise<DiskFile>): Promise<DiskFile> => {
    let file: DiskFile | undefined
    try {
      await gate.whole(path, needsSpace, async () => {
        file = await open()
      })
    } catch (error) {
      await file?.close()
      throw error
    }
    if (!file) throw systemError('EIO', path)
    return createFaultyFile({ gate, file, node: fileAt(find(path), path), path })
  }

  const disk: FaultyDisk = {
    get operations() {
      return gate.operations
    },
    get isDead() {
      return gate.isDead
    },
    get hasFailed() {
      return gate.hasFailed
    },
    plan: (next) => gate.plan(next),
    clearFault: () => gate.clearFault(),
    revive: () => gate.revive(),
    async losePower(random, kept = random.pick([0, 0.5, 1])) {
      gate.die()
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
      return isOurs(path) ? gate.whole(path, false, () => real.readFile(path, lengthMax)) : real.readFile(path, lengthMax)
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
      await gate.whole(path, false, async () => {
        await rm(path, { recursive: true, force: true })
        const folder = folderOf(path)
        changeNames([folder], (view) => void folder[view].delete(basename(path)))
      })
      await disk.syncFolder(dirname(path))
    },
    async makeFolder(path) {
      if (!isOurs(path)) return real.makeFolder(path)
      if (find(path)) return gate.whole(path, false, async () => {})
      if (path !== root) await disk.makeFolder(dirname(path))
      await gate.whole(path, true, async () => {
        await mkdir(path)
        const folder = folderOf(path)
        const node: FolderNode = { kind: 'folder', entries: new Map(), durable: new Map() }
        changeNames([folder], (view) => void folder[view].set(basename(path), node))
      })
      await disk.syncFolder(dirname(path))
    },
    async list(path) {
      return isOurs(path) ? gate.whole(path, false, () => real.list(path)) : real.list(path)
    },
    async stat(path) {
      return isOurs(path) ? gate.whole(path, false, () => real.stat(path)) : real.stat(path)
    },
    async syncFolder(path) {
      if (!isOurs(path)) return real.syncFolder(path)
      await gate.whole(path, false, async () => {
        const folder = find(path)
        const taken = new Set(names.filter(({ folders }) => folders.some((one) => one === folder)))
        await gate.reachPlatter(path)
        for (const change of names) {
          if (change.isDurable || !taken.has(change)) continue
          change.apply()
          change.isDurable = true
        }
        names = names.filter(({ isDurable }) => !isDurable)
      })
    },
    async space(path) {
      return isOurs(path) ? gate.whole(path, false, () => real.space(path)) : real.space(path)
    },
  }

  const rename = (from: string, to: string): Promise<void> =>
    gate.whole(to, true, async () => {
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
    gate.whole(path, false, async () => {
      if (find(path)?.kind !== 'file') return false
      await rm(path)
      const folder = folderOf(path)
      changeNames([folder], (view) => void folder[view].delete(basename(path)))
      return true
    })

  return disk
}
