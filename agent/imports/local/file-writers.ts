// Finds files that a process of this node has open for writing, through proc(5). A process of another user can be seen only by root, and a
// writer on another machine (NFS) not at all; for those the settling time of the inbox decides alone.

import { readdir, readFile, stat } from 'node:fs/promises'

/** Most descriptors that one search looks at: a bound for a node with very many open files. */
const DESCRIPTORS_MAX = 200_000
/** O_ACCMODE of the flags in /proc/PID/fdinfo/FD: anything but O_RDONLY writes. */
const ACCESS_MODE = 0o3

/** The device and inode of a file as one text. */
export type FileKey = `${bigint}:${bigint}`

/**
 * Returns which of the given files some process has open for writing. This process counts too. Processes that cannot be seen are left out,
 * and so is the rest of the node after DESCRIPTORS_MAX descriptors.
 */
export async function findWriters(files: ReadonlySet<FileKey>): Promise<ReadonlySet<FileKey>> {
  const written = new Set<FileKey>()
  if (files.size === 0) return written
  let left = DESCRIPTORS_MAX
  for (const pid of await namesIn('/proc')) {
    if (!/^\d+$/.test(pid) || left <= 0) continue
    const descriptors = (await namesIn(`/proc/${pid}/fd`)).slice(0, left)
    left -= descriptors.length
    for (const key of await Promise.all(descriptors.map((descriptor) => writtenFile(pid, descriptor, files)))) if (key !== undefined) written.add(key)
  }
  return written
}

async function writtenFile(pid: string, descriptor: string, files: ReadonlySet<FileKey>): Promise<FileKey | undefined> {
  try {
    const { dev, ino } = await stat(`/proc/${pid}/fd/${descriptor}`, { bigint: true })
    const key: FileKey = `${dev}:${ino}`
    if (!files.has(key)) return undefined
    const flags = /^flags:\s*([0-7]+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'latin1'))?.[1]
    return (Number.parseInt(flags ?? '0', 8) & ACCESS_MODE) === 0 ? undefined : key
  } catch {
    // The process has closed the descriptor, or ended.
    return undefined
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch {
    // The process has ended, or belongs to another user.
    return []
  }
}
