// A source with a manifest that does not match its slices: the sync fails and publishes no image.

import { describe, expect, test } from 'bun:test'
import { encodeManifest, manifestEntries } from '../../../protocol/manifest.ts'
import type { ManifestEntry } from '../../../protocol/manifest.ts'
import { problemCode } from '../../../protocol/problems.ts'
import type { Fetch } from '../../../protocol/exchange.ts'
import type { Image } from '../../../protocol/image.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTwoFolders, HURRIED, openSyncTarget } from '../../support/agents/sync-target.ts'
import { manifestOf } from '../../support/images/whole-manifest.ts'

/** Returns a fetch that replaces the manifest of an image in the responses of the source. */
async function forging(image: Image, entries: readonly ManifestEntry[]): Promise<Fetch> {
  const { manifest, digest } = await encodeManifest(entries)
  return async (url, init) => {
    const { pathname } = new URL(url)
    const answer = await fetch(url, init)
    if (pathname === `/v1/images/${image.id}`) return Response.json({ ...image, manifestDigest: digest, length: manifest.imageLength })
    if (pathname === `/v1/images/${image.id}/manifest`) return new Response(manifest.bytes, { headers: answer.headers })
    return answer
  }
}

const forgeries: [string, (entry: ManifestEntry, i: number) => ManifestEntry][] = [
  ['shorter than their slices', (entry) => ({ ...entry, length: entry.length - 4096 })],
  ['longer than their slices', (entry) => ({ ...entry, length: entry.length + 4096 })],
  ['longer once', (entry, i) => ({ ...entry, length: entry.length + (i === 3 ? 512 : 0) })],
]

describe('a manifest with entries', () => {
  test.each(forgeries)('%s is refused, whether the store has the slices or not', async (_what, forge) => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    await using server = await serveImages(source)
    const image = await source.add(seededBytes(1_000_000, 1))
    const entries = [...manifestEntries(await manifestOf(source.catalogue, image.id))]
    for (const areHere of [false, true]) {
      await using target = await openSyncTarget(folders.target, { clock: HURRIED, fetch: await forging(image, entries.map(forge)) })
      if (areHere) await target.store.add(seededBytes(1_000_000, 1))
      const task = await target.pull(server.url, [image.id])
      expect([task.state, task.error && problemCode(task.error)]).toEqual(['failed', 'peer-unreachable'])
      expect(target.store.catalogue.find(image.id)).toBeUndefined()
    }
  })
})
