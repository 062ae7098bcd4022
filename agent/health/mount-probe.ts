// Probes the mount path through the operating system. Every call may hang as long as the file system does; the runner of checks bounds that,
// and never starts a second probe before the first has ended.

import { open, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, hasCode } from '../../protocol/errors.ts'
import type { Clock } from '../contract/runtime.ts'
import type { MountFacts } from './judge.ts'

const PROBE_NAME = '.health-probe'
/** The probe file is written at most this often, in milliseconds; in between, the last result is returned. */
const WRITE_EVERY_MS = 10_000
/** Longest store file that is compared, in bytes. */
const STORE_FILE_BYTES_MAX = 64 * 1024

export interface MountProbe {
  look(): Promise<MountFacts>
  /** Writes and removes a small file. Returns the code of the error, or null. */
  tryWrite(): Promise<string | null>
}

export interface MountProbeDeps {
  readonly mount: string
  /** Name of the file in the mount path that identifies the store. */
  readonly storeFile: string
  readonly clock: Clock
}

/**
 * Opens the probe of a mount path that holds the store, and expects the same store file from then on. It does not compare the device number,
 * because a network mount has another one after it comes back.
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
      // A failure is probed again each time, so that its end is noticed soon.
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
