// Sync of an image whose local manifest is damaged: the store copies it again instead of reporting that it already has it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { rm, writeFile } from 'node:fs/promises'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders, openSyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'

setDefaultTimeout(60_000)

function outcomeOf(task: Task): string | undefined {
  expect(task.error).toBeUndefined()
  return syncResultSchema.parse(task.result).images[0]?.outcome
}

test.each(['missing', 'changed', 'missing, in the recycle bin', 'changed, in the recycle bin'])(
  'a manifest that is %s is detected and copied again',
  async (damage) => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const bytes = seededBytes(1_000_000, 1)
    const { id } = await source.add(bytes, { name: 'debian' })
    {
      await using target = await openSyncTarget(folders.target)
      expect(outcomeOf(await target.pull(server.url, [id]))).toBe('copied')
      await target.store.catalogue.patch(id, { owner: 'ann', protected: true }, 'test')
      await target.store.catalogue.bind(id, 'vm-1', 'test')
    }
    await using target = await openSyncTarget(folders.target)
    const { catalogue } = target.store
    const isInBin = damage.includes('recycle bin')
    if (isInBin) {
      await catalogue.patch(id, { protected: false }, 'test')
      await catalogue.unbind(id, 'vm-1', 'test')
      await catalogue.delete(id, 'test')
    }
    const path = folders.target.file('mount', 'images', id, 'manifest')
    if (damage.startsWith('missing')) await rm(path)
    else {
      const manifest = new Uint8Array(await Bun.file(path).arrayBuffer())
      manifest[50] = (manifest[50] ?? 0) ^ 1
      await writeFile(path, manifest)
    }
    expect(outcomeOf(await target.pull(server.url, [id]))).toBe('copied')
    expect(target.store.events.some(({ type }) => type === 'image.damaged') || isInBin).toBe(true)
    const kept = isInBin ? { protected: false, bindings: [] } : { protected: true, bindings: ['vm-1'] }
    expect(catalogue.need(id)).toMatchObject({ status: 'available', statusReason: null, owner: 'ann', ...kept })
    expect((await target.store.read(id)).equals(bytes)).toBe(true)
    expect((await target.store.slices.gc({ dryRun: false })).slicesDead).toBe(0)
    expect(outcomeOf(await target.pull(server.url, [id]))).toBe('already-there')
  },
)
