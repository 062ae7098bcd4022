// The probe of a mount path identifies the store, not the device below it.

import { expect, test } from 'bun:test'
import { cpSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openMountProbe } from '../../../agent/health/mount-probe.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { requireLoopMount } from '../../support/machine/loop-mount.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const STORE_FILE = 'store.json'
const open = (mount: string) => openMountProbe({ mount, storeFile: STORE_FILE, clock: systemClock })

test('distinguishes its own store, another store, no store, and a missing path', async () => {
  await using folder = await createTemporaryFolder()
  const mount = folder.file('mount')
  mkdirSync(mount)
  writeFileSync(join(mount, STORE_FILE), '{"id":"own"}')
  const probe = await open(mount)
  expect(await probe.look()).toMatchObject({ kind: 'reachable', store: 'own' })
  writeFileSync(join(mount, STORE_FILE), '{"id":"another"}')
  expect(await probe.look()).toMatchObject({ store: 'other' })
  writeFileSync(join(mount, STORE_FILE), Buffer.alloc(1024 * 1024))
  expect(await probe.look()).toMatchObject({ store: 'other' })
  rmSync(join(mount, STORE_FILE))
  expect(await probe.look()).toMatchObject({ store: 'none' })
  renameSync(mount, folder.file('moved'))
  expect(await probe.look()).toEqual({ kind: 'unreachable', code: 'ENOENT' })
})

const mountTest = await requireLoopMount()

mountTest('recognizes its store on another device, as after a reconnected network mount', async () => {
  await using folder = await createTemporaryFolder()
  const mount = folder.file('mount')
  mkdirSync(mount)
  writeFileSync(join(mount, STORE_FILE), '{"id":"own"}')
  const probe = await open(mount)
  const before = statSync(mount).dev
  const other = folder.file('other')
  mkdirSync(other)
  await run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'slipway-test', other)
  try {
    cpSync(join(mount, STORE_FILE), join(other, STORE_FILE))
    await run('mount', '--bind', other, mount)
    try {
      expect(statSync(mount).dev).not.toBe(before)
      expect(await probe.look()).toMatchObject({ kind: 'reachable', store: 'own' })
    } finally {
      await run('umount', '-l', mount)
    }
  } finally {
    await run('umount', '-l', other)
  }
})
