// The search for image files beside the store, in a real agent.

import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findExisting } from '../../../../agent/imports/existing/existing-files.ts'
import { openRetrieval } from '../../../../agent/imports/existing/retrieve-existing.ts'
import type { FileOutcome, FoundFile } from '../../../../agent/imports/file-import.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const signal = new AbortController().signal

async function write(root: string, path: string, text = 'x'): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}

describe('the search', () => {
  test('finds image files by the ends of their names, in folders that are not the store', async () => {
    await using folder = await createTemporaryFolder()
    for (const path of ['a.qcow2', 'b.RAW', 'old/c.img', 'old/deep/d.iso', 'e.vmdk', 'f.txt', '.h.img', '.hidden/i.img', 'packs/j.img', 'old/packs/k.img'])
      await write(folder.path, path)
    await write(folder.path, 'empty.img', '')
    await symlink('a.qcow2', folder.file('link.img'))
    await symlink('old', folder.file('linked'))
    const { files, isCut } = await findExisting(folder.path, new Set(['packs']), signal)
    expect(files.map(({ path }) => path).toSorted()).toEqual(['a.qcow2', 'b.RAW', 'e.vmdk', 'old/c.img', 'old/deep/d.iso', 'old/packs/k.img'])
    expect(isCut).toBe(false)
  })

  test('enters eight folders below each other, and no more', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, '2/3/4/5/6/7/8/in.img')
    await write(folder.path, '2/3/4/5/6/7/8/9/out.img')
    const { files } = await findExisting(folder.path, new Set(), signal)
    expect(files.map(({ path }) => path)).toEqual(['2/3/4/5/6/7/8/in.img'])
  })
})

/** Searches a folder until disposed, under a clock that does not wait, and counts the imports. */
async function retrieval(mount: string, outcomes: Record<string, FileOutcome> = {}) {
  const imported: FoundFile[] = []
  const events: string[] = []
  const removed: string[] = []
  const searching = await openRetrieval({
    mount,
    ownFolders: new Set(['existing']),
    disk: createDisk(),
    clock: { ...systemClock, sleep: (_ms, stop) => systemClock.sleep(5, stop) },
    log: createMemoryLog(),
    emit: ({ type, message }) => void events.push(`${type}: ${message}`),
    crashPoint() {},
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    importFile: async (file) => {
      imported.push(file)
      return outcomes[file.path] ?? { kind: 'available' }
    },
    removeImage: async (id) => void removed.push(id),
  })
  return { imported, events, removed, [Symbol.asyncDispose]: () => searching[Symbol.asyncDispose]() }
}

describe('existing files', () => {
  test('are imported once, also after a restart, and stay where they are', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, 'a.img')
    await write(folder.path, 'b/c.iso')
    {
      await using run = await retrieval(folder.path)
      await until('both were imported', () => run.imported.length === 2)
      await Bun.sleep(100)
      expect(run.imported.map(({ path }) => path)).toEqual(['a.img', 'b/c.iso'])
    }
    await using again = await retrieval(folder.path)
    await write(folder.path, 'new.img')
    await until('the new one was imported', () => again.imported.length > 0)
    expect(again.imported.map(({ path }) => path)).toEqual(['new.img'])
    expect(existsSync(folder.file('b', 'c.iso'))).toBe(true)
  })

  test('are imported again when they were written meanwhile', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, 'a.img')
    await using run = await retrieval(folder.path)
    await until('it was imported', () => run.imported.length === 1)
    await utimes(folder.file('a.img'), new Date('2026-01-01T00:00:00Z'), new Date('2026-01-01T00:00:00Z'))
    await until('it was imported again', () => run.imported.length === 2)
    expect(run.imported[1]?.imageId).not.toBe(run.imported[0]?.imageId)
  })

  test('that are refused are reported once, and leave no image', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, 'bad.vmdk')
    await using run = await retrieval(folder.path, { 'bad.vmdk': { kind: 'refused', reason: 'It is unsafe.' } })
    await until('it is reported', () => run.events.length > 0)
    await Bun.sleep(100)
    expect(run.events).toEqual(['existing.refused: The file bad.vmdk was not imported: It is unsafe.'])
    expect(run.removed).toEqual([run.imported[0]?.imageId ?? ''])
    expect(run.imported.length).toBe(1)
  })

  test('keep their ids until they are imported', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, 'a.img')
    await write(folder.path, 'b.img')
    await using run = await retrieval(folder.path, { 'a.img': { kind: 'later', reason: 'The store is disabled.' } })
    await until('it was tried three times', () => run.imported.length >= 3)
    expect(new Set(run.imported.map(({ path, imageId, uploadId }) => `${path} ${imageId} ${uploadId}`)).size).toBe(1)
  })

  test('with a damaged record are imported again', async () => {
    await using folder = await createTemporaryFolder()
    await write(folder.path, 'a.img')
    {
      await using run = await retrieval(folder.path)
      await until('it was imported', () => run.imported.length === 1)
      await until('that is recorded', async () => (await readRecord(folder.path))?.includes('"imported"'))
    }
    await writeFile(await recordFile(folder.path), '{')
    await using again = await retrieval(folder.path)
    await until('it was imported again', () => again.imported.length === 1)
    await rm(folder.file('a.img'))
  })
})

async function recordFile(mount: string): Promise<string> {
  const { readdir } = await import('node:fs/promises')
  return join(mount, 'existing', (await readdir(join(mount, 'existing'))).find((name) => name.endsWith('.json') && !name.startsWith('.')) ?? 'none')
}

async function readRecord(mount: string): Promise<string | undefined> {
  return readFile(await recordFile(mount), 'utf8').catch(() => undefined)
}
