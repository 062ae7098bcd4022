// Ballast on a disk that reports that it is full while the ballast exists.

import { describe, expect, test } from 'bun:test'
import { existsSync, statSync } from 'node:fs'
import type { Disk } from '../../../agent/contract/disk.ts'
import { BALLAST_FILE, GC_BALLAST_FILE, openBallast } from '../../../agent/system/ballast.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

/** Returns a disk that is full while the ballast exists. */
function fullDisk(ballast: string): Disk & { freeBytes: number } {
  const disk = createDisk()
  const full = {
    ...disk,
    freeBytes: 2 ** 30,
    async writeFileAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
      if (full.freeBytes === 0 && existsSync(ballast)) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      await disk.writeFileAtomic(path, bytes)
    },
    space: async () => ({ totalBytes: 2 ** 30, freeBytes: full.freeBytes }),
  }
  return full
}

describe('ballast', () => {
  test('is deleted for a small write on a full disk, and created again when there is space', async () => {
    await using folder = await createTemporaryFolder()
    const file = folder.file(BALLAST_FILE)
    const disk = fullDisk(file)
    const clock = createManualClock()
    using ballast = await openBallast({ disk, clock, log: createMemoryLog(), mount: folder.path })
    expect(statSync(file).size).toBe(1024 * 1024)

    disk.freeBytes = 0
    await ballast.disk.writeFileAtomic(folder.file('image.json'), 'deleted')
    expect(await Bun.file(folder.file('image.json')).text()).toBe('deleted')
    expect(existsSync(file)).toBe(false)
    // Small writes do not delete the ballast for gc.
    expect(statSync(folder.file(GC_BALLAST_FILE)).size).toBe(8 * 1024 * 1024)
    await ballast.makeRoom()
    expect(existsSync(folder.file(GC_BALLAST_FILE))).toBe(false)

    clock.advance(60_000)
    expect(existsSync(file)).toBe(false)
    disk.freeBytes = 2 ** 30
    clock.advance(60_000)
    await until('the ballast exists again', () => existsSync(file))
  })

  test('does not hide other errors of the disk, nor a disk that is full without it', async () => {
    await using folder = await createTemporaryFolder()
    const disk = fullDisk(folder.file(BALLAST_FILE))
    disk.freeBytes = 0
    using ballast = await openBallast({ disk, clock: createManualClock(), log: createMemoryLog(), mount: folder.path })
    expect(existsSync(folder.file(BALLAST_FILE))).toBe(false)
    await expect(ballast.disk.writeFileAtomic(folder.file('gone', 'image.json'), 'x')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
