// A series of all operations that change an image, and what must be found of it after a failure.

import { expect } from 'bun:test'
import { systemClock } from '../../agent/system/clock.ts'
import { newId } from '../../protocol/ids.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import type { ImageStore } from '../support/images/image-store.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'

/** A clock under which retries follow at once. */
export const IMMEDIATE_CLOCK = { ...systemClock, sleep: async () => {} }
export const RETENTION = { deletion: 'delayed', retentionMs: 0 } as const
export const BYTES = [seededBytes(300_000, 1), seededBytes(200_000, 2), seededBytes(100_000, 3)] as const
export const IDS = BYTES.map((_bytes, i) => newId('img', i))

/** What was acknowledged: the states in which each image may be found, and its name. */
export type Expected = Map<string, { readonly statuses: readonly string[]; readonly name?: string }>

/**
 * Performs every operation on images and records in `expected` what was acknowledged; `onAcknowledged` is called after each. Throws at the
 * first failure.
 */
export async function live(store: ImageStore, expected: Expected, onAcknowledged: () => void = () => {}): Promise<void> {
  const [one = '', two = '', three = ''] = IDS
  const alive = ['creating', 'available']
  const acknowledge = (id: string, statuses: readonly string[], name?: string): void => {
    expected.set(id, { statuses, ...(name !== undefined && { name }) })
    onAcknowledged()
  }
  for (const [i, id] of IDS.entries()) {
    const bytes = BYTES[i]
    if (!bytes) continue
    await store.publish(bytes, { name: `image ${i}` }, id)
    acknowledge(id, alive, `image ${i}`)
  }
  await store.catalogue.settled()
  expected.set(one, { statuses: alive })
  await store.catalogue.patch(one, { name: 'renamed' }, 'test')
  acknowledge(one, alive, 'renamed')
  expected.set(two, { statuses: [...alive, 'deleted'] })
  await store.catalogue.delete(two, 'test')
  acknowledge(two, ['deleted'])
  expected.set(three, { statuses: [...alive, 'deleted'] })
  await store.catalogue.delete(three, 'test')
  acknowledge(three, ['deleted'])
  expected.set(three, { statuses: ['deleted', ...alive] })
  await store.catalogue.restore(three, 'test')
  acknowledge(three, alive)
  expected.set(two, { statuses: ['deleted', 'deleting', 'gone'] })
  if ((await store.catalogue.prune({ dryRun: false })).purged.length > 0) acknowledge(two, ['gone'])
  await store.slices.gc({ dryRun: false })
}

/** Opens the store again and compares it with what was acknowledged; `at` names the failure in the message. */
export async function verify(folder: TemporaryFolder, expected: Expected, at: string): Promise<void> {
  await using store = await openImageStore(folder, { retention: RETENTION })
  await store.catalogue.settled()
  await store.slices.gc({ dryRun: false })
  for (const [i, id] of IDS.entries()) {
    const rule = expected.get(id)
    const image = store.catalogue.find(id)
    if (!rule) continue
    // It was available, so its usage outlives it, and counts once however often the removal was attempted.
    if (!image && rule.statuses.includes('gone')) expect([at, await countPeriods(store, id)]).toEqual([at, 1])
    expect([at, rule.statuses]).toEqual([at, expect.arrayContaining([image?.status ?? 'gone'])])
    if (!image || image.status === 'deleted') continue
    expect([at, image.status]).toEqual([at, 'available'])
    if (rule.name !== undefined) expect([at, image.name]).toEqual([at, rule.name])
    expect([at, (await store.read(id)).equals(Buffer.from(BYTES[i] ?? []))]).toEqual([at, true])
  }
  expect([at, (await store.slices.scrub({ bytesPerSecond: 1e12 })).missing]).toEqual([at, []])
}

/** Returns the number of periods of usage of an image, those in the ledger and in its image.json together. */
async function countPeriods({ catalogue, ledger }: ImageStore, id: string): Promise<number> {
  const snapshot = catalogue.usage()
  let count = [...snapshot.periods()].filter(({ imageId }) => imageId === id).length
  for await (const { imageId, fromMs } of ledger.records(0, () => {})) if (imageId === id && !snapshot.has(imageId, fromMs)) count++
  return count
}
