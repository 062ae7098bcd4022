// Finds image files that lie on the mount path beside the store: below any folder that is not one of its own. Bounded, and without following links.

import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { identityOf } from '../local/local-file.ts'
import type { FileIdentity } from '../source.ts'

/** Folders below the mount path that are entered, and entries that are looked at. */
const DEPTH_MAX = 8
export const EXISTING_ENTRIES_MAX = 100_000

/** Ends of the names of image files, in lower case. */
const IMAGE_ENDS = ['.qcow2', '.raw', '.img', '.iso', '.vmdk']

export interface ExistingFile {
  /** Relative to the mount path. */
  readonly path: string
  readonly identity: FileIdentity
  readonly fileKey: `${bigint}:${bigint}`
}

/**
 * Returns the image files below a mount path: regular files that are not empty, whose name is text and has the end of an image. Leaves out hidden
 * names, `ownFolders` at the top, and other file systems. `isCut` says that there are more entries than are looked at.
 */
export async function findExisting(
  mount: string,
  ownFolders: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<{ readonly files: readonly ExistingFile[]; readonly isCut: boolean }> {
  const files: ExistingFile[] = []
  const { dev } = await lstat(mount, { bigint: true })
  let left = EXISTING_ENTRIES_MAX
  const enter = async (folder: string, depth: number): Promise<void> => {
    for (const name of await namesIn(join(mount, folder))) {
      signal.throwIfAborted()
      if (left-- <= 0) return
      if (name.startsWith('.') || name.includes('\ufffd') || (folder === '' && ownFolders.has(name))) continue
      const path = folder === '' ? name : `${folder}/${name}`
      const found = await statOf(join(mount, path))
      if (!found || found.dev !== dev) continue
      if (found.isDirectory() && depth < DEPTH_MAX) await enter(path, depth + 1)
      const isImage = found.isFile() && found.size > 0n && IMAGE_ENDS.some((end) => name.toLowerCase().endsWith(end))
      if (isImage) files.push({ path, identity: identityOf(found), fileKey: `${found.dev}:${found.ino}` })
    }
  }
  await enter('', 1)
  return { files, isCut: left < 0 }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted()
  } catch (error) {
    // Removed meanwhile, or not readable for the agent: what cannot be read cannot be imported.
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return []
    throw error
  }
}

async function statOf(path: string) {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return undefined
    throw error
  }
}
