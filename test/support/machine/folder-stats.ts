// What lies in a folder that a process is using: files may come and go while it is read.

import { lstatSync, readdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'

export interface FolderEntry {
  /** Below the folder; empty for the folder itself. */
  readonly path: string
  readonly stats: Stats
}

/** Returns a folder and everything in it. What is removed in the meantime is left out. */
export function folderStats(folder: string): FolderEntry[] {
  const found: FolderEntry[] = []
  const add = (path: string): void => {
    const stats = lstatSync(join(folder, path), { throwIfNoEntry: false })
    if (!stats) return
    found.push({ path, stats })
    if (stats.isDirectory()) for (const name of namesIn(join(folder, path))) add(join(path, name))
  }
  add('')
  return found
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

/** Returns the length of all files in a folder, in bytes. */
export function bytesBelow(folder: string): number {
  return folderStats(folder).reduce((sum, { stats }) => sum + (stats.isFile() ? stats.size : 0), 0)
}
