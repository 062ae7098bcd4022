// Temporary folders for tests, removed when disposed.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
  /** A path below the folder. */
  file(...parts: string[]): string
}

/**
 * Creates an empty folder, by default in the system's folder for temporary files.
 *
 * @example
 * await using folder = await createTemporaryFolder()
 */
export async function createTemporaryFolder(parent: string = tmpdir()): Promise<TemporaryFolder> {
  return openTemporaryFolder(await mkdtemp(join(parent, 'slipway-test-')))
}

/** Returns an existing folder as a temporary folder, which is removed when disposed. */
export function openTemporaryFolder(path: string): TemporaryFolder {
  return {
    path,
    file: (...parts) => join(path, ...parts),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
