// Which files of a mount path are findings, and what their actions do.

import { expect, test } from 'bun:test'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { findFiles } from '../../../agent/reconcile/find-files.ts'
import { RECONCILE_AGE_MS } from '../../../agent/reconcile/finding.ts'
import type { FoundFinding } from '../../../agent/reconcile/finding.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const NOW = Date.parse('2026-11-21T00:00:00Z')
const OLD = NOW - RECONCILE_AGE_MS
const IMAGE = 'img_00000000000000000000000000'
const OTHER = 'img_00000000000000000000000001'
const UPLOAD = 'upl_00000000000000000000000000'
const PACK = `packs/ab/${'ab'.repeat(16)}.pack`

/** Writes a file of 5 bytes, changed at a time. */
async function put(folder: TemporaryFolder, path: string, changedMs = OLD): Promise<void> {
  const file = folder.file(path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, 'bytes')
  await utimes(file, changedMs / 1000, changedMs / 1000)
}

async function age(folder: TemporaryFolder, path: string, changedMs = OLD): Promise<void> {
  await utimes(folder.file(path), changedMs / 1000, changedMs / 1000)
}

async function find(folder: TemporaryFolder): Promise<FoundFinding[]> {
  const found: FoundFinding[] = []
  const deps = {
    disk: createDisk(),
    clock: { ...systemClock, nowMs: () => NOW },
    mount: folder.path,
    isKnownTop: (name: string) => ['store.json', 'packs', 'images', 'uploads', 'sync', 'usage', 'inbox', 'exports', 'quarantine'].includes(name),
    hasImage: (id: string) => id === IMAGE,
    hasUpload: (id: string) => id === UPLOAD,
  }
  for await (const one of findFiles(deps)) found.push(one)
  return found
}

const brief = (found: readonly FoundFinding[]) => found.map(({ finding: { kind, target, bytes, action } }) => [kind, target, bytes, action])

test('everything that a store keeps is known, and operators keep what they like in their folders', async () => {
  await using folder = await createTemporaryFolder()
  for (const path of [
    'store.json',
    PACK,
    `images/${IMAGE}/manifest`,
    `images/${IMAGE}/image.json`,
    `images/${IMAGE}/compressed`,
    `uploads/${UPLOAD}/upload.json`,
    `uploads/${UPLOAD}/journal`,
    `sync/${OTHER}/manifest`,
    'usage/2026-11.log',
    'inbox/any.iso',
    'exports/any.qcow2',
    'quarantine/any',
    'lost+found/x',
    '.nfs0001',
  ])
    await put(folder, path)
  expect(brief(await find(folder))).toEqual([])
})

test('other files and folders are findings once they are a day old', async () => {
  await using folder = await createTemporaryFolder()
  await put(folder, 'backup.tar')
  await put(folder, 'young.tar', OLD + 1000)
  await put(folder, 'old images/a/b.img')
  await put(folder, 'old images/c.img')
  await age(folder, 'old images')
  await put(folder, 'packs/readme')
  await put(folder, 'packs/ab/x.pack')
  await put(folder, `images/${OTHER}/manifest`)
  await age(folder, `images/${OTHER}`)
  await put(folder, `images/${IMAGE}/notes`)
  await put(folder, 'uploads/x')
  await put(folder, 'usage/2026-11.log.bak')
  expect(brief(await find(folder))).toEqual([
    ['unknownFile', 'backup.tar', 5, 'quarantine'],
    ['unknownFile', `images/${IMAGE}/notes`, 5, 'quarantine'],
    ['unknownFile', `images/${OTHER}`, 5, 'quarantine'],
    ['unknownFile', 'old images', 10, 'quarantine'],
    ['unknownFile', 'packs/ab/x.pack', 5, 'quarantine'],
    ['unknownFile', 'packs/readme', 5, 'quarantine'],
    ['unknownFile', 'uploads/x', 5, 'quarantine'],
    ['unknownFile', 'usage/2026-11.log.bak', 5, 'quarantine'],
  ])
})

test('temporary files are deleted on request, unknown ones are moved to quarantine', async () => {
  await using folder = await createTemporaryFolder()
  const temporary = `images/${IMAGE}/.image.json.77.0.tmp`
  await put(folder, temporary)
  await put(folder, `images/${IMAGE}/.image.json.78.0.tmp`, NOW)
  await put(folder, `${PACK}.tmp`)
  await put(folder, 'stray/a.img')
  await age(folder, 'stray')
  const found = await find(folder)
  expect(brief(found)).toEqual([
    ['temporaryFile', temporary, 5, 'remove'],
    ['temporaryFile', `${PACK}.tmp`, 5, 'remove'],
    ['unknownFile', 'stray', 5, 'quarantine'],
  ])
  for (const { run } of found) await run('test')
  expect(brief(await find(folder))).toEqual([])
  expect(await readdir(folder.file('images', IMAGE))).toEqual(['.image.json.78.0.tmp'])
  expect(await readdir(folder.file('quarantine', `${found[2]?.finding.id}.stray`))).toEqual(['a.img'])
})

test('a finding has the same id until the file changes', async () => {
  await using folder = await createTemporaryFolder()
  await put(folder, 'stray')
  const [first] = await find(folder)
  expect(first?.finding.id).toMatch(/^fnd_[0-9a-f]{16}$/)
  expect((await find(folder))[0]?.finding).toEqual(first?.finding as FoundFinding['finding'])
  await age(folder, 'stray', OLD - 5000)
  expect((await find(folder))[0]?.finding.id).not.toBe(first?.finding.id)
})
