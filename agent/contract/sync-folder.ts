// Makes the names in a folder durable. A file that was created, renamed or removed survives a power cut only after its folder was fsynced.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Fsyncs a folder: creations, renames and removals in it are on stable storage when it resolves. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
