// The basis of the other suites in this folder: all writes and flushes of a file system are logged in order, and none is delayed between the
// file system and the log.

import { expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { FILE_SYSTEMS, recordDisk, requireRecordedDisk } from './recorded-disk.ts'
import { openWriteLog } from './write-log.ts'

const BYTES = 3 * 1024 * 1024

for (const fileSystem of FILE_SYSTEMS) {
  requireRecordedDisk(fileSystem)(`every byte that was fsynced on ${fileSystem} is in the log before a flush`, async () => {
    await using files = await createTemporaryFolder()
    await using mountPoint = await createTemporaryFolder()
    const bytes = createRandom(1).bytes(BYTES)
    const { log, synced } = await (async () => {
      await using disk = await recordDisk(files.path, mountPoint.path, fileSystem)
      await using file = await open(join(disk.path, 'file'), 'w')
      await file.write(bytes)
      await file.sync()
      return { log: disk.log, synced: disk.position() }
    })()
    const { entries, bytes: logged } = openWriteLog(log)
    const promised = entries.filter(({ end }) => end <= synced)
    const lastFlush = promised.findLastIndex(({ kind }) => kind === 'flush')
    // A commit ends with a flush, or with a write that the next flush makes durable; the content itself comes before a flush.
    expect(lastFlush).toBeGreaterThan(0)
    for (let at = 0; at < BYTES; at += 4096) {
      const piece = bytes.subarray(at, at + 64)
      const found = promised.findIndex(
        ({ kind, length, bytesAt }) => kind === 'write' && Buffer.from(logged.buffer, logged.byteOffset + bytesAt, length).includes(piece),
      )
      expect(found, `byte ${at} of the file`).toBeGreaterThanOrEqual(0)
      expect(found, `byte ${at} of the file`).toBeLessThan(lastFlush)
    }
  })
}

requireRecordedDisk('btrfs')('a disk whose process was killed is removed before the next one is recorded', async () => {
  await using files = await createTemporaryFolder()
  await using mountPoint = await createTemporaryFolder()
  const dead = await recordDisk(files.path, mountPoint.path, 'ext4')
  process.kill(dead.pid, 'SIGKILL')
  await using otherFiles = await createTemporaryFolder()
  await using otherMountPoint = await createTemporaryFolder()
  await using _disk = await recordDisk(otherFiles.path, otherMountPoint.path, 'btrfs')
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
  expect(mounts).not.toContain(mountPoint.path)
  expect(mounts).not.toContain(files.path)
  expect(mounts).toContain(otherMountPoint.path)
})
