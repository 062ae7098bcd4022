// Keeps files private to the user of the agent. The umask covers new files; files that an earlier agent left readable to
// others lose those permissions at the start.

import { chmod, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Levels of folders that are searched: the runs of the index database are one level down. */
const DEPTH_MAX = 3

/** Makes all files that this process creates private to its user, worker threads included. */
export function makeFilesPrivate(): void {
  process.umask(0o077)
}

/** Removes the permissions of other users from the entries of a folder whose names begin with one of `prefixes`, and from everything below them. Other entries are not the agent's. */
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
