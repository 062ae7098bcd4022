// Which uploads are findings, and what their actions do.

import { expect, test } from 'bun:test'
import { mkdir, readdir, utimes } from 'node:fs/promises'
import { findUploads } from '../../../agent/reconcile/find-uploads.ts'
import type { ReconciledUploads } from '../../../agent/reconcile/find-uploads.ts'
import type { FoundFinding } from '../../../agent/reconcile/finding.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const NOW = Date.parse('2026-11-21T00:00:00Z')
const DAY_MS = 24 * 3_600_000
const UPLOAD = 'upl_00000000000000000000000001'

async function find(folder: TemporaryFolder, uploads: Partial<ReconciledUploads>): Promise<FoundFinding[]> {
  const none: ReconciledUploads = { unreadable: () => [], moveUnreadable: async () => false, expire: async () => [] }
  const deps = { disk: createDisk(), clock: { nowMs: () => NOW }, mount: folder.path, uploads: { ...none, ...uploads } }
  const found: FoundFinding[] = []
  for await (const one of findUploads(deps)) found.push(one)
  return found
}

async function broken(folder: TemporaryFolder, changedMs: number): Promise<void> {
  await mkdir(folder.file('uploads', UPLOAD), { recursive: true })
  await utimes(folder.file('uploads', UPLOAD), changedMs / 1000, changedMs / 1000)
}

test('an upload whose record cannot be read is moved where an operator finds it', async () => {
  await using folder = await createTemporaryFolder()
  await broken(folder, NOW - DAY_MS)
  const moves: string[] = []
  const uploads = { unreadable: () => [UPLOAD], moveUnreadable: async (id: string, path: string) => moves.push(`${id} ${path}`) > 0 }
  const [one, ...others] = await find(folder, uploads)
  expect(others).toEqual([])
  expect(one?.finding).toEqual({
    id: expect.stringMatching(/^fnd_[0-9a-f]{16}$/),
    kind: 'brokenUpload',
    target: UPLOAD,
    what: `The record of upload ${UPLOAD} cannot be read. gc keeps its slices.`,
    bytes: null,
    since: '2026-11-20T00:00:00.000Z',
    action: 'quarantine',
    effect: 'Moves the folder of the upload into quarantine/. The next cleanup frees bytes that only this upload has; the upload cannot be resumed.',
  })
  const name = `${one?.finding.id}.${UPLOAD}`
  expect(await one?.run('ann')).toBe(`It was moved to quarantine/${name}.`)
  expect(moves).toEqual([`${UPLOAD} ${folder.file('quarantine', name)}`])
  expect(await readdir(folder.path)).toContain('quarantine')
})

test('an upload that changed less than a day ago may still be written, and one that is gone is none', async () => {
  await using folder = await createTemporaryFolder()
  expect(await find(folder, { unreadable: () => [UPLOAD] })).toEqual([])
  await broken(folder, NOW - DAY_MS + 1000)
  expect(await find(folder, { unreadable: () => [UPLOAD] })).toEqual([])
  await broken(folder, NOW - DAY_MS)
  expect(await find(folder, { unreadable: () => [UPLOAD] })).toHaveLength(1)
})

test('an upload that can be read by now is left alone, and the person is told what to do', async () => {
  await using folder = await createTemporaryFolder()
  await broken(folder, NOW - DAY_MS)
  const [one] = await find(folder, { unreadable: () => [UPLOAD] })
  expect(await one?.run('ann').catch((error: unknown) => error)).toMatchObject({
    code: 'conflict',
    problem: { detail: `Upload ${UPLOAD} can be read again, or was removed.`, action: 'Look for findings again.' },
  })
})

test('an upload past its time is removed, alone, and only if it is still past it', async () => {
  await using folder = await createTemporaryFolder()
  const asked: unknown[] = []
  let isGone = false
  const uploads: Partial<ReconciledUploads> = {
    async expire(options) {
      asked.push(options)
      return isGone ? [] : [UPLOAD]
    },
  }
  const [one] = await find(folder, uploads)
  expect(one?.finding).toMatchObject({
    kind: 'expiredUpload',
    target: UPLOAD,
    what: `Upload ${UPLOAD} expired, or is the record of an image that is gone.`,
    bytes: null,
    since: null,
    action: 'remove',
  })
  expect(asked).toEqual([{ dryRun: true }])
  expect(await one?.run('ann')).toBe('The upload was removed.')
  expect(asked[1]).toEqual({ ids: new Set([UPLOAD]) })
  isGone = true
  expect(await one?.run('ann').catch((error: unknown) => error)).toMatchObject({
    code: 'conflict',
    problem: { detail: `Upload ${UPLOAD} was used or removed meanwhile.` },
  })
})
