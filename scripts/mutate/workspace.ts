// Private copies of the tree in the system's folder for temporary files. Mutants are written there and never into the working tree.

import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

/** Short, because tests make Unix sockets below it and their paths are limited to 108 bytes. */
const PREFIX = 'slipway-mutate-'

/** One copy, used by one worker at a time. */
export interface Copy {
  /** Root of the copied tree. */
  readonly root: string
  /** TMPDIR of the tests that run in it. */
  readonly temporary: string
  /** Replaces a file until `restore` puts all of them back. */
  mutate(path: string, text: string): void
  restore(): void
  /** Removes what tests left in their folder for temporary files. */
  wipe(): void
}

export interface Workspace extends Disposable {
  /** Root of a copy that is never mutated: the tree as it was when the run began. */
  readonly reference: string
  /** Makes another copy. */
  addCopy(): Copy
}

/**
 * Opens a workspace for files of the tree at `root`. Removes workspaces of processes that have ended: a process that is killed
 * cannot remove its own.
 */
export function openWorkspace(root: string, files: readonly string[]): Workspace {
  removeAbandoned()
  const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-${startTime(String(process.pid))}-`))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const regular = files.filter((file) => lstatSync(join(root, file)).isFile())
    const reference = makeCopy(root, regular, join(folder, '0')).root
    let copies = 1
    return { reference, addCopy: () => makeCopy(reference, regular, join(folder, String(copies++))), [Symbol.dispose]: remove }
  } catch (error) {
    remove()
    throw error
  }
}

function makeCopy(root: string, files: readonly string[], folder: string): Copy {
  const tree = join(folder, 't')
  const temporary = join(folder, 'tmp')
  const originals = new Map<string, string>()
  mkdirSync(temporary, { recursive: true })
  for (const file of files) {
    mkdirSync(dirname(join(tree, file)), { recursive: true })
    copyFileSync(join(root, file), join(tree, file))
  }
  if (existsSync(join(root, 'node_modules'))) symlinkSync(resolve(root, 'node_modules'), join(tree, 'node_modules'))
  return {
    root: tree,
    temporary,
    mutate(path, text) {
      if (!originals.has(path)) originals.set(path, readFileSync(join(tree, path), 'utf8'))
      writeFileSync(join(tree, path), text)
    },
    restore() {
      for (const [path, text] of originals) writeFileSync(join(tree, path), text)
      originals.clear()
    },
    wipe() {
      rmSync(temporary, { recursive: true, force: true })
      mkdirSync(temporary)
    },
  }
}

function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const [pid = '', startedAt = ''] = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split('-') : []
    if (startedAt !== '' && startTime(pid) !== startedAt) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
}

/** Field 22 of /proc/PID/stat (proc(5)): with the pid it identifies a process. Empty if there is no such process. */
function startTime(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    // The process has ended.
    return ''
  }
}
