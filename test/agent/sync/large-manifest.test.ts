// Pull of an image with a long manifest: memory is bounded and the event loop stays free. The manifest has half a million entries by default;
// SLIPWAY_LARGE_ENTRIES sets another number, up to the maximum of a manifest.

import { expect, test } from 'bun:test'
import { open } from 'node:fs/promises'
import { encodeManifestHeader, MANIFEST_ENTRIES_MAX, MANIFEST_ENTRY_BYTES, MANIFEST_MEDIA_TYPE, manifestLength } from '../../../protocol/slices/manifest.ts'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createRandom } from '../../support/properties.ts'
import { createTwoFolders } from '../../support/agents/sync-target.ts'

const ENTRIES = Math.min(MANIFEST_ENTRIES_MAX, Number(process.env['SLIPWAY_LARGE_ENTRIES'] ?? 500_000))
const SLICE_BYTES = 32 * 1024
/** Maximum additional memory of a pull, independent of the manifest: buffers, tables, and garbage that is not collected yet. */
const MEMORY_MAX = 160 * 1024 * 1024
/** Maximum number of event loop stretches above 50 ms, which garbage collection causes, and the longest one in milliseconds. */
const LONG_STRETCHES_MAX = 2 + ENTRIES / 1_000_000
const STRETCH_MS_MAX = 250
/** Most pulls: a machine that is short of cores makes stretches longer, but only what the pull does recurs each time. */
const ATTEMPTS_MAX = 3

/** Writes a manifest of distinct slices window by window and returns its digest. */
async function writeManifest(path: string): Promise<string> {
  await using file = await open(path, 'w')
  const hash = new Bun.CryptoHasher('sha256')
  const window = createRandom(1).bytes(10_000 * MANIFEST_ENTRY_BYTES)
  const view = new DataView(window.buffer, window.byteOffset)
  const write = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes)
    await file.write(bytes)
  }
  await write(encodeManifestHeader({ count: ENTRIES, imageLength: ENTRIES * SLICE_BYTES }))
  for (let first = 0; first < ENTRIES; first += 10_000) {
    const count = Math.min(10_000, ENTRIES - first)
    for (let i = 0; i < count; i++) {
      view.setBigUint64(i * MANIFEST_ENTRY_BYTES, BigInt((first + i) * SLICE_BYTES), true)
      // Each digest contains its number, so all digests differ.
      view.setUint32(i * MANIFEST_ENTRY_BYTES + 8 + ((first + i) % 7), first + i)
      view.setUint32(i * MANIFEST_ENTRY_BYTES + 36, first + i)
    }
    await write(window.subarray(0, count * MANIFEST_ENTRY_BYTES))
  }
  const digest = new Uint8Array(hash.digest())
  await file.write(digest)
  return formatDigest(digest)
}

test(
  'a pull of a long manifest uses bounded memory, keeps the event loop free, and leaves no files if space is insufficient',
  async () => {
    await using folders = await createTwoFolders()
    await using source = await openImageStore(folders.source)
    const image = await source.add(seededBytes(10_000, 1))
    await using plain = await serveImages(source)
    const manifestDigest = await writeManifest(folders.source.file('large'))
    const large = Bun.file(folders.source.file('large'))
    expect(large.size).toBe(manifestLength(ENTRIES))
    await using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        const { pathname } = new URL(request.url)
        if (pathname.endsWith('/manifest')) return new Response(large, { headers: { 'content-type': MANIFEST_MEDIA_TYPE } })
        if (pathname === `/v1/images/${image.id}`) return Response.json({ ...image, manifestDigest, length: ENTRIES * SLICE_BYTES, storedSize: null })
        return fetch(new URL(pathname, plain.url), { headers: request.headers })
      },
    })
    const program = [process.execPath, 'test/support/images/large-manifest-pull-program.ts', folders.target.path, `http://127.0.0.1:${server.port}`, image.id]
    for (let attempt = 1; ; attempt++) {
      const child = Bun.spawn(program, { stdout: 'pipe', stderr: 'pipe' })
      const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
      expect(errors).toBe('')
      const { state, type, memory, longestMs, long } = JSON.parse(output) as { state: string; type: string; memory: number; longestMs: number; long: number }
      if (process.env['SLIPWAY_LARGE_ENTRIES']) console.log(output)
      expect([state, type]).toEqual(['failed', 'urn:slipway:problem:insufficient-storage'])
      expect(memory).toBeLessThan(MEMORY_MAX)
      expect(await source.disk.list(folders.target.file('mount', 'sync'))).toEqual([])
      if (longestMs < STRETCH_MS_MAX && long <= LONG_STRETCHES_MAX) return
      if (attempt === ATTEMPTS_MAX) throw new Error(`each pull blocked the event loop, the last one for ${longestMs} ms and ${long} times for more than 50 ms`)
    }
  },
  process.env['SLIPWAY_LARGE_ENTRIES'] ? 7_200_000 : 300_000,
)
