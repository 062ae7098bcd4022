// Looks at the mount path as the operating system sees it. Every call may hang for as long as the file system does; the
// board of checks bounds that, and never starts a second look before the first has ended.

import { open, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, hasCode } from '../../protocol/errors.ts'
import type { Clock } from '../contract/runtime.ts'
import type { MountFacts } from './judge.ts'

const PROBE_NAME = '.health-probe'
/** The file is written at most this often, in milliseconds; in between the last result counts. */
const WRITE_EVERY_MS = 10_000
/** Longest store file that is compared, in bytes. */
const STORE_FILE_BYTES_MAX = 64 * 1024

export interface MountProbe {
  look(): Promise<MountFacts>
  /** Code of the error that writing a small file met, null when it worked. */
  tryWrite(): Promise<string | null>
}

export interface MountProbeDeps {
  readonly mount: string
  /** File that tells that this is the store, in the mount path. */
  readonly storeFile: string
  readonly clock: Clock
}

/**
 * Makes the probe of a mount path that holds the store: what its store file says is expected from then on. The number of the device is not:
 * a network mount that comes back has another one.
 */
export async function openMountProbe({ mount, storeFile, clock }: MountProbeDeps): Promise<MountProbe> {
  const path = join(mount, storeFile)
  const own = await readFile(path)
  let written: { readonly atMs: number; readonly code: string | null } | undefined

  const lookAtStore = async (): Promise<'own' | 'other' | 'none'> => {
    try {
      if ((await stat(path)).size > STORE_FILE_BYTES_MAX) return 'other'
      return own.equals(await readFile(path)) ? 'own' : 'other'
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return 'none'
      throw error
    }
  }

  return {
    async look(): Promise<MountFacts> {
      const startMs = clock.monotonicMs()
      try {
        await stat(mount)
        return { kind: 'reachable', store: await lookAtStore(), answeredMs: clock.monotonicMs() - startMs }
      } catch (error) {
        return { kind: 'unreachable', code: errorCode(error) ?? 'unknown error' }
      }
    },

    async tryWrite() {
      const nowMs = clock.monotonicMs()
      // A failure is looked at again each time, so that its end is seen soon.
      if (written && written.code === null && nowMs - written.atMs < WRITE_EVERY_MS) return null
      written = { atMs: nowMs, code: await writeProbe(join(mount, PROBE_NAME)) }
      return written.code
    },
  }
}

async function writeProbe(path: string): Promise<string | null> {
  try {
    const file = await open(path, 'w', 0o600)
    try {
      await file.writeFile('slipway')
    } finally {
      await file.close()
    }
    await unlink(path)
    return null
  } catch (error) {
    return errorCode(error) ?? 'unknown error'
  }
}
