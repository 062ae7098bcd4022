// Files of the state folder are for the user of the agent alone. The umask takes care of new ones; here those that an
// earlier agent left readable to others are closed.

import { chmod, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Folders below folders that are looked into: the runs of the index database lie one level down. */
const DEPTH_MAX = 3

/** Nothing that the agent makes is readable to another user. Holds for the whole process, its worker threads too. */
export function makeFilesPrivate(): void {
  process.umask(0o077)
}

/** Closes those entries of a folder, with all below them, whose names begin with one of `prefixes`. Other files there are not ours. */
export async function closeToOthers(folder: string, prefixes: readonly string[]): Promise<void> {
  for (const name of await readdir(folder)) if (prefixes.some((prefix) => name.startsWith(prefix))) await close(join(folder, name), DEPTH_MAX)
}

async function close(path: string, depth: number): Promise<void> {
  const found = await lstat(path)
  if (found.isSymbolicLink() || depth === 0) return
  const { mode } = found
  if ((mode & 0o077) !== 0) await chmod(path, mode & 0o700)
  if (found.isDirectory()) for (const name of await readdir(path)) await close(join(path, name), depth - 1)
}
