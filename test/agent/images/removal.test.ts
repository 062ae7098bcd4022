// Removal of images: its durable order, its policies, failing disks, and prunes with concurrent changes.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('a prune skips images that were restored or deleted again after it was planned', async () => {
  await using folder = await createTemporaryFolder()
  const clock = createManualClock()
  let whileRemoving = async (): Promise<void> => {}
  const real = createDisk()
  const disk: Disk = {
    ...real,
    async removeTree(path) {
      await whileRemoving()
      return real.removeTree(path)
    },
  }
  await using store = await openImageStore(folder, { clock, disk, retention: { deletion: 'delayed', retentionMs: 60_000 } })
  const images = [await store.add(seededBytes(1000, 1)), await store.add(seededBytes(1000, 2)), await store.add(seededBytes(1000, 3))]
  for (const { id } of images) await store.catalogue.delete(id, 'test')
  clock.advance(60_000)
  const planned = (await store.catalogue.prune({ dryRun: true })).purged.map(({ id }) => id)
  const [first = '', restored = '', deletedAgain = ''] = planned
  expect(planned).toHaveLength(3)
  // The other images change after the plan is made, while its first image is being removed.
  whileRemoving = async () => {
    whileRemoving = async () => {}
    await store.catalogue.restore(restored, 'test')
    await store.catalogue.restore(deletedAgain, 'test')
    await store.catalogue.delete(deletedAgain, 'test')
  }
  const { purged, failed } = await store.catalogue.prune({ dryRun: false })
  expect([purged.map(({ id }) => id), failed]).toEqual([[first], []])
  expect(store.catalogue.find(first)).toBeUndefined()
  expect(store.catalogue.need(restored).status).toBe('available')
  expect(store.catalogue.need(deletedAgain).status).toBe('deleted')
  expect(await store.read(restored)).toHaveLength(1000)
})

async function codeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

/** A disk whose operations fail as long as `fails` says so. */
function createPlannedDisk(): Disk & { fails: (operation: 'write' | 'remove tree', path: string) => string | undefined } {
  const real = createDisk()
  const refuse = (code: string | undefined): void => {
    if (code !== undefined) throw Object.assign(new Error(`${code}: planned`), { code })
  }
  const disk = {
    ...real,
    fails: (_operation: 'write' | 'remove tree', _path: string): string | undefined => undefined,
    async writeFileAtomic(path: string, bytes: Uint8Array | string) {
      refuse(disk.fails('write', path))
      return real.writeFileAtomic(path, bytes)
    },
    async removeTree(path: string) {
      refuse(disk.fails('remove tree', path))
      return real.removeTree(path)
    },
  }
  return disk
}

async function usageOf(store: {
  readonly ledger: { records(fromMs: number, onDamaged: (count: number) => void): AsyncIterable<{ imageId: string }> }
}): Promise<string[]> {
  const ids: string[] = []
  for await (const { imageId } of store.ledger.records(0, () => {})) ids.push(imageId)
  return ids
}

describe('a removal for good', () => {
  test('is marked first, then the manifest goes, the usage is recorded, and the folder goes last', async () => {
    await using folder = await createTemporaryFolder()
    const seen: unknown[] = []
    let id = ''
    const file = (name: string): string => folder.file('mount', 'images', id, name)
    const crashPoint = (name: string): void => {
      if (!name.startsWith('images:purge')) return
      const status = existsSync(file('image.json')) ? /"status": ?"(\w+)"/.exec(readFileSync(file('image.json'), 'utf8'))?.[1] : undefined
      seen.push([name, status, existsSync(file('manifest')), existsSync(folder.file('mount', 'usage'))])
    }
    await using store = await openImageStore(folder, { crashPoint })
    ;({ id } = await store.add(seededBytes(1000, 1), { name: 'one' }))
    expect(await store.catalogue.delete(id, 'ann', { permanent: true })).toBeUndefined()
    expect(seen).toEqual([
      ['images:purge-marked', 'deleting', true, false],
      ['images:purge-manifest-removed', 'deleting', false, false],
      ['images:purge-removed', undefined, false, true],
    ])
    expect([store.catalogue.byId(id), await usageOf(store)]).toEqual([undefined, [id]])
    expect(store.events.at(-1)).toEqual({
      type: 'image.purged',
      severity: 'info',
      subject: id,
      message: 'Image one was removed permanently; cleanup frees its space.',
      actor: 'ann',
    })
  })

  test('works on a full disk, and is refused on one that fails', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createPlannedDisk()
    await using store = await openImageStore(folder, { disk })
    const [one, two] = [await store.add(seededBytes(1000, 1)), await store.add(seededBytes(1000, 2))]
    disk.fails = (operation, path) => (operation === 'write' && path.endsWith('image.json') ? 'EIO' : undefined)
    expect(await codeOf(store.catalogue.delete(one.id, 'ann', { permanent: true }))).toBe('store-unavailable')
    expect(store.catalogue.need(one.id).status).toBe('available')
    disk.fails = (operation, path) => (operation === 'write' && path.endsWith('image.json') ? 'ENOSPC' : undefined)
    expect(await codeOf(store.catalogue.delete(two.id, 'ann', { permanent: true }))).toBe('no problem')
    expect([store.catalogue.byId(two.id), await usageOf(store)]).toEqual([undefined, [two.id]])
  })

  test('that fails after its usage was recorded is finished later, and the usage counts once', async () => {
    await using folder = await createTemporaryFolder()
    const disk = createPlannedDisk()
    await using store = await openImageStore(folder, { disk })
    const { id } = await store.add(seededBytes(1000, 1))
    disk.fails = (operation) => (operation === 'remove tree' ? 'EIO' : undefined)
    expect(await codeOf(store.catalogue.delete(id, 'ann', { permanent: true }))).toBe('store-unavailable')
    expect(store.catalogue.byId(id)?.status).toBe('deleting')
    disk.fails = () => undefined
    // Without `permanent`: an image that is being removed does not go to the recycle bin.
    expect(await store.catalogue.delete(id, 'ann')).toBeUndefined()
    expect([store.catalogue.byId(id), await usageOf(store)]).toEqual([undefined, [id]])
  })
})

describe('the policy', () => {
  const deleteOne = async (folder: TemporaryFolder, deletion: 'never' | 'delayed' | 'immediate', permanent: boolean): Promise<unknown[]> => {
    await using store = await openImageStore(folder, { clock: createManualClock(), retention: { deletion, retentionMs: 60_000 } })
    const { id } = await store.add(seededBytes(1000, 1), { name: 'one' })
    const outcome = await store.catalogue
      .delete(id, 'ann', { permanent })
      .catch((error: unknown) => (error instanceof ProblemError ? problemCode(error.problem) : String(error)))
    const shown = typeof outcome === 'object' ? [outcome.status, outcome.expiresAt] : outcome
    return [shown, store.catalogue.byId(id)?.status, store.events.at(-1)?.message]
  }
  const END = '2026-01-01T00:01:00.000Z'
  const REMOVED = 'Image one was removed permanently; cleanup frees its space.'

  test.each<['never' | 'delayed' | 'immediate', boolean, unknown[]]>([
    ['never', false, [['deleted', null], 'deleted', 'Image one is in the recycle bin and stays there.']],
    ['never', true, ['feature-disabled', 'available', 'Image one is available.']],
    ['delayed', false, [['deleted', END], 'deleted', `Image one is in the recycle bin until ${END}.`]],
    ['delayed', true, [undefined, undefined, REMOVED]],
    ['immediate', false, [undefined, undefined, REMOVED]],
    ['immediate', true, [undefined, undefined, REMOVED]],
  ])('%s, for good: %p', async (deletion, permanent, expected) => {
    await using folder = await createTemporaryFolder()
    expect(await deleteOne(folder, deletion, permanent)).toEqual(expected)
  })
})

test('a prune names what it could not remove, and removes the others', async () => {
  await using folder = await createTemporaryFolder()
  const clock = createManualClock()
  const disk = createPlannedDisk()
  await using store = await openImageStore(folder, { clock, disk, retention: { deletion: 'delayed', retentionMs: 60_000 } })
  const images = [await store.add(seededBytes(1000, 1)), await store.add(seededBytes(1000, 2))]
  for (const { id } of images) await store.catalogue.delete(id, 'test')
  clock.advance(59_999)
  expect((await store.catalogue.prune({ dryRun: false })).purged).toEqual([])
  clock.advance(1)
  const [stuck = '', other = ''] = images.map(({ id }) => id)
  disk.fails = (operation, path) => (operation === 'remove tree' && path.endsWith(stuck) ? 'EIO' : undefined)
  const { purged, failed, dryRun } = await store.catalogue.prune({ dryRun: false })
  expect([dryRun, purged.map(({ id }) => id), failed.map(({ id }) => id)]).toEqual([false, [other], [stuck]])
  expect(failed[0]?.reason).toContain('The image could not be removed')
  await expect(store.catalogue.prune({ dryRun: false, signal: AbortSignal.abort(new Error('stopped')) })).rejects.toThrow('stopped')
  disk.fails = () => undefined
  expect((await store.catalogue.prune({ dryRun: false })).purged.map(({ id }) => id)).toEqual([stuck])
  expect((await usageOf(store)).toSorted()).toEqual([other, stuck].toSorted())
})
