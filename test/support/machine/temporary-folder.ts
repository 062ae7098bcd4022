// Folders for one test, removed when it ends.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
  /** A path below the folder. */
  file(...parts: string[]): string
}

/**
 * Makes a new empty folder, below the system's folder for temporary files unless another one is given.
 *
 * @example
 * await using folder = await createTemporaryFolder()
 */
export async function createTemporaryFolder(parent: string = tmpdir()): Promise<TemporaryFolder> {
  return openTemporaryFolder(await mkdtemp(join(parent, 'slipway-test-')))
}

/** A folder that is there already, as one for a test. */
export function openTemporaryFolder(path: string): TemporaryFolder {
  return {
    path,
    file: (...parts) => join(path, ...parts),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
