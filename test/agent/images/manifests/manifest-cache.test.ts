// The cache of manifests: who shares a load, what is closed and when, and what a wrong digest costs.

import { describe, expect, test } from 'bun:test'
import type { DiskFile } from '../../../../agent/contract/disk.ts'
import { createManifestCache } from '../../../../agent/images/manifests/manifest-cache.ts'
import type { LoadedManifest, ManifestHandle } from '../../../../agent/images/manifests/manifest-cache.ts'
import { encodeManifest, ManifestInvalid } from '../../../../protocol/slices/manifest.ts'

const MIB = 1024 * 1024
const { manifest, digest } = await encodeManifest([{ length: 4096, digest: new Uint8Array(32).fill(1) }])

/** A cache whose manifests have an open file each, and what happened to them. */
function openScene(bytes = 1, isFile = true) {
  const loads: string[] = []
  const closed: string[] = []
  const waiting: (() => void)[] = []
  const scene = { isHeld: false, error: undefined as Error | undefined }
  const fileOf = (id: string): DiskFile => {
    const close = async (): Promise<void> => void closed.push(id)
    // Only closing is done by the cache.
    return { close, [Symbol.asyncDispose]: close } as Partial<DiskFile> as DiskFile
  }
  const files = new Map<string, DiskFile>()
  const cache = createManifestCache(async (id): Promise<LoadedManifest> => {
    loads.push(id)
    if (scene.isHeld) await new Promise<void>((resolve) => waiting.push(resolve))
    if (scene.error) throw scene.error
    const file = isFile ? fileOf(id) : undefined
    if (file) files.set(id, file)
    return { manifest, digest, bytes, file }
  })
  return { cache, loads, closed, waiting, files, scene }
}

/** Opens and releases manifests one after another. */
async function useEach({ cache }: Pick<ReturnType<typeof openScene>, 'cache'>, ids: readonly string[]): Promise<void> {
  for (const id of ids) (await cache.open(id, digest))[Symbol.dispose]()
}

describe('a manifest', () => {
  test('is loaded once for all its readers, at the same time and later', async () => {
    const { cache, loads, closed } = openScene()
    const handles = await Promise.all([cache.open('a', digest), cache.open('a', null), cache.open('a', digest)])
    for (const handle of handles) handle[Symbol.dispose]()
    using again = await cache.open('a', digest)
    expect([again.digest, again.manifest === manifest]).toEqual([digest, true])
    expect([loads, closed]).toEqual([['a'], []])
  })

  test('with another digest is refused, and does not stay in use', async () => {
    const { cache, closed } = openScene()
    const error = await cache.open('a', `sha256:${'0'.repeat(64)}`).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ManifestInvalid)
    expect(String(error)).toContain('it is not the manifest that image.json names')
    await expect(cache.openOnce('a', `sha256:${'0'.repeat(64)}`)).rejects.toThrow(ManifestInvalid)
    cache.evict('a')
    expect(closed).toEqual(['a'])
  })

  test('whose load fails is loaded again by the next reader', async () => {
    const { cache, loads, scene } = openScene()
    scene.error = new Error('EIO')
    await expect(cache.open('a', digest)).rejects.toThrow('EIO')
    scene.error = undefined
    using _handle = await cache.open('a', digest)
    expect(loads).toEqual(['a', 'a'])
  })

  test('that is opened once is not kept, unless it is there already', async () => {
    const { cache, loads, closed } = openScene()
    const once = await cache.openOnce('a', digest)
    expect(closed).toEqual([])
    once[Symbol.dispose]()
    expect(closed).toEqual(['a'])
    const [kept, shared] = [await cache.open('a', digest), await cache.openOnce('a', digest)]
    kept[Symbol.dispose]()
    shared[Symbol.dispose]()
    expect([loads, closed]).toEqual([['a', 'a'], ['a']])
  })
})

describe('evicting', () => {
  test('closes a manifest when its last reader has released it, and each reader counts once', async () => {
    const { cache, loads, closed } = openScene()
    const [first, second] = [await cache.open('a', digest), await cache.open('a', digest)]
    cache.evict('a')
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    expect(closed).toEqual([])
    second[Symbol.dispose]()
    expect(closed).toEqual(['a'])
    using _again = await cache.open('a', digest)
    expect(loads).toEqual(['a', 'a'])
  })

  test('one that nobody reads closes it at once', async () => {
    const scene = openScene()
    await useEach(scene, ['a'])
    scene.cache.evict('a')
    expect(scene.closed).toEqual(['a'])
    scene.cache.evict('a')
    expect(scene.closed).toEqual(['a'])
  })

  test('by its file leaves another file of the same image alone', async () => {
    const opened = openScene()
    await useEach(opened, ['a', 'b'])
    opened.cache.evict('a', opened.files.get('b'))
    opened.cache.evict('unknown', opened.files.get('b'))
    expect(opened.closed).toEqual([])
    opened.cache.evict('a', opened.files.get('a'))
    expect(opened.closed).toEqual(['a'])
  })

  test('during a load: its callers read what was loaded, later ones load again', async () => {
    const { cache, loads, closed, waiting, scene } = openScene()
    scene.isHeld = true
    const before = cache.open('a', digest)
    cache.evict('a')
    const after = cache.open('a', digest)
    expect(loads).toEqual(['a', 'a'])
    for (const go of waiting) go()
    ;(await before)[Symbol.dispose]()
    expect(closed).toEqual(['a'])
    ;(await after)[Symbol.dispose]()
    scene.isHeld = false
    using _third = await cache.open('a', digest)
    expect([loads, closed]).toEqual([['a', 'a'], ['a']])
  })

  test('during a load that fails does not hide the next load', async () => {
    const { cache, loads, waiting, scene } = openScene()
    scene.isHeld = true
    const before = cache.open('a', digest)
    cache.evict('a')
    const after = cache.open('a', digest)
    scene.error = new Error('EIO')
    waiting.shift()?.()
    await expect(before).rejects.toThrow('EIO')
    const third = cache.open('a', digest)
    scene.error = undefined
    for (const go of waiting) go()
    for (const handle of await Promise.all([after, third])) handle[Symbol.dispose]()
    expect(loads).toEqual(['a', 'a'])
  })
})

describe('the limits', () => {
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

  test('are 32 files: the one that was used least recently is closed', async () => {
    const scene = openScene()
    await useEach(scene, names(32))
    expect(scene.closed).toEqual([])
    await useEach(scene, ['0', '32'])
    expect(scene.closed).toEqual(['1'])
    await useEach(scene, ['0', '33'])
    expect(scene.closed).toEqual(['1', '2'])
  })

  test('do not count manifests without a file as files', async () => {
    const scene = openScene(1, false)
    await useEach(scene, names(40))
    await useEach(scene, ['0'])
    expect(scene.loads).toHaveLength(40)
  })

  test('are 64 MiB of memory', async () => {
    const scene = openScene(16 * MIB, false)
    await useEach(scene, names(4))
    await useEach(scene, names(4))
    expect(scene.loads).toHaveLength(4)
    await useEach(scene, ['4', '3', '2', '1'])
    expect(scene.loads).toHaveLength(5)
    await useEach(scene, ['0'])
    expect(scene.loads).toHaveLength(6)
  })

  test.each([
    [67_108_864, 1],
    [67_108_865, 2],
  ])('keep one manifest of %i bytes or do not: it is loaded %i times', async (bytes, loads) => {
    const scene = openScene(bytes, false)
    await useEach(scene, ['a', 'a'])
    expect(scene.loads).toHaveLength(loads)
  })

  test('do not close what is read', async () => {
    const { cache, closed } = openScene()
    const handles: ManifestHandle[] = []
    for (const name of names(40)) handles.push(await cache.open(name, digest))
    expect(closed).toEqual([])
    for (const handle of handles) handle[Symbol.dispose]()
    expect(closed).toEqual(names(8))
  })
})
