// Visibility: what a caller may know of follows the catalogue at once, also after crashes and damage of the index.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { isReadable, isServed } from '../../../agent/access/readable.ts'
import type { Actor } from '../../../agent/contract/access.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openVisibility } from '../../../agent/visibility/visibility.ts'
import type { Visibility, VisibilityDeps } from '../../../agent/visibility/visibility.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createRandom, propertyOptions } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryImages } from '../../support/images/visible-images.ts'
import type { MemoryImages } from '../../support/images/visible-images.ts'

const VIEWER: Actor = { name: 'vic', role: 'viewer', tokenId: 'tok_1' }

/** Digests that look like those of slices, the same for the same seed. */
function digestsOf(seed: number, count: number): Uint8Array[] {
  const bytes = createRandom(seed).bytes(32 * count)
  return Array.from({ length: count }, (_, i) => new Uint8Array(bytes.subarray(32 * i, 32 * i + 32)))
}

interface Stage extends AsyncDisposable {
  readonly images: MemoryImages
  readonly folder: TemporaryFolder
  readonly visibility: Visibility
  restart(): Promise<void>
  /** Paths of the index's files. */
  files(): string[]
}

async function openStage(deps: Partial<VisibilityDeps> = {}): Promise<Stage> {
  const folder = await createTemporaryFolder()
  let visibility: Visibility | undefined
  const images = createMemoryImages(() => visibility?.wake())
  const open = async (): Promise<Visibility> => {
    const opened = await openVisibility({
      disk: createDisk(),
      clock: systemClock,
      log: createMemoryLog(),
      folder: folder.file('visibility'),
      images,
      isReadable,
      isServed,
      ...deps,
    })
    opened.start()
    return opened
  }
  visibility = await open()
  return {
    images,
    folder,
    get visibility() {
      if (!visibility) throw new Error('it is closed')
      return visibility
    },
    async restart() {
      await visibility?.[Symbol.asyncDispose]()
      visibility = await open()
    },
    files: () => readdirSync(folder.file('visibility')).map((name) => folder.file('visibility', name)),
    async [Symbol.asyncDispose]() {
      await visibility?.[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('a view', () => {
  test('shows the slices of an image from its publication to its deletion, and again from its restore to its purge', async () => {
    await using stage = await openStage()
    const { images, visibility } = stage
    const digests = digestsOf(1, 1000)
    const view = visibility.view(VIEWER)
    expect(await view.hidden(digests)).toHaveLength(1000)
    await images.add('img_a', digests)
    expect(await view.hidden(digests)).toEqual([])
    images.setStatus('img_a', 'deleted')
    // No wait: what was acknowledged takes effect at once.
    expect(digests.filter((digest) => view.has(digest))).toEqual([])
    expect(await view.hiddenExactly(digests, { imageId: 'img_a' })).toHaveLength(1000)
    images.setStatus('img_a', 'available')
    expect(digests.every((digest) => view.has(digest))).toBe(true)
    for (const status of ['creating', 'error', 'deleting', 'fileUnavailable', 'pending', 'uploading'] as const) {
      images.setStatus('img_a', status)
      expect([status, digests.some((digest) => view.has(digest))]).toEqual([status, false])
    }
    images.setStatus('img_a', 'degraded')
    expect(await view.hidden(digests)).toEqual([])
    images.remove('img_a')
    expect(await view.hidden(digests)).toHaveLength(1000)
  })

  test('shows a slice while any of its images is readable', async () => {
    await using stage = await openStage()
    const { images, visibility } = stage
    const [shared, own] = [digestsOf(1, 300), digestsOf(2, 300)]
    await images.add('img_a', [...shared, ...own])
    await images.add('img_b', shared)
    const view = visibility.view(VIEWER)
    images.setStatus('img_a', 'deleted')
    expect(await view.hidden([...shared, ...own])).toEqual([...own.keys()].map((i) => i + 300))
    images.setStatus('img_b', 'deleted')
    expect(await view.hidden(shared)).toHaveLength(300)
  })

  test('of a link shows its own image only, and that of an upload link none', async () => {
    await using stage = await openStage()
    const [a, b] = [digestsOf(1, 10), digestsOf(2, 10)]
    await stage.images.add('img_a', a)
    await stage.images.add('img_b', b)
    const link = { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'uploader' }, endMs: 1e15 } as const
    const download = stage.visibility.view({ ...VIEWER, link: { ...link, kind: 'download', image: 'img_a' } })
    expect(await download.hidden([...a, ...b])).toEqual([...b.keys()].map((i) => i + 10))
    expect(await stage.visibility.view({ ...VIEWER, link: { ...link, kind: 'upload' } }).hidden([...a, ...b])).toHaveLength(20)
  })

  test('agrees with sets of digests over any publications, deletions, restores, purges, merges and restarts', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ what: fc.constant('publish' as const), image: fc.nat(7), slices: fc.array(fc.nat(40), { minLength: 1, maxLength: 25 }) }),
      },
      { weight: 6, arbitrary: fc.record({ what: fc.constantFrom('delete' as const, 'restore' as const, 'degrade' as const), image: fc.nat(7) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('purge' as const), image: fc.nat(7) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('restart' as const, 'settle' as const) }) },
    )
    const universe = digestsOf(3, 41)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        await using stage = await openStage()
        const model = new Map<string, { readonly slices: ReadonlySet<number>; isReadable: boolean }>()
        for (const one of steps) {
          const id = 'image' in one ? `img_${one.image}` : ''
          const known = model.get(id)
          if (one.what === 'publish' && !known) {
            await stage.images.add(
              id,
              one.slices.map((i) => universe[i] ?? new Uint8Array(32)),
            )
            model.set(id, { slices: new Set(one.slices), isReadable: true })
          } else if (one.what === 'restart') await stage.restart()
          else if (one.what === 'settle') await stage.visibility.settled()
          else if (one.what === 'purge') {
            stage.images.remove(id)
            model.delete(id)
          } else if (known) {
            stage.images.setStatus(id, one.what === 'delete' ? 'deleted' : one.what === 'restore' ? 'available' : 'degraded')
            known.isReadable = one.what !== 'delete'
          }
          const view = stage.visibility.view(VIEWER)
          const expected = [...universe.keys()].filter((i) => ![...model.values()].some(({ slices, isReadable }) => isReadable && slices.has(i)))
          const asked = one.what === 'publish' ? view.hidden(universe) : view.hiddenExactly(universe, { imageId: id })
          expect(await asked).toEqual(expected)
        }
      }),
      propertyOptions(60),
    )
  }, 60_000)
})

describe('images that are not indexed yet', () => {
  test('are searched for callers that name the image; other callers retry later or send the bytes', async () => {
    await using stage = await openStage({ clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms > 100 ? 10 : ms, signal) } })
    const { images, visibility } = stage
    const gate = Promise.withResolvers<void>()
    using _open = { [Symbol.dispose]: () => gate.resolve() }
    const [a, b] = [digestsOf(1, 500), digestsOf(2, 500)]
    const view = visibility.view(VIEWER)
    images.gate = gate.promise
    await images.add('img_a', a)
    await images.add('img_b', b)
    expect(await view.hidden(a)).toHaveLength(500)
    await expect(view.hiddenExactly(a, { imageId: undefined })).rejects.toMatchObject({ code: 'store-unavailable', headers: { 'Retry-After': '5' } })
    // Indexing still waits for its first manifest; the search reads its own.
    images.gate = undefined
    expect(await view.hiddenExactly(a, { imageId: 'img_a' })).toEqual([])
    await expect(view.hiddenExactly([...a, ...b], { imageId: 'img_a' })).rejects.toMatchObject({ code: 'store-unavailable' })
    images.setStatus('img_a', 'deleted')
    await expect(view.hiddenExactly(a, { imageId: 'img_a' })).rejects.toMatchObject({ code: 'store-unavailable' })
    gate.resolve()
    await visibility.settled()
    expect(await view.hiddenExactly(a, { imageId: 'img_a' })).toHaveLength(500)
    expect(await view.hiddenExactly(b, { imageId: undefined })).toEqual([])
  })

  test('that cannot be read are retried later and hide nothing of other images', async () => {
    await using stage = await openStage()
    const { images, visibility } = stage
    const [a, b] = [digestsOf(1, 500), digestsOf(2, 500)]
    images.failure = new Error('EIO')
    await images.add('img_a', a)
    await visibility.settled()
    images.failure = undefined
    await images.add('img_b', b)
    await visibility.settled()
    const view = visibility.view(VIEWER)
    expect(await view.hidden(b)).toEqual([])
    expect(await view.hiddenExactly(a, { imageId: 'img_a' })).toEqual([])
    await stage.restart()
    await stage.visibility.settled()
    expect(await stage.visibility.view(VIEWER).hidden(a)).toEqual([])
  })
})

describe('the files of the index', () => {
  test('return the same after a restart, without reading a manifest', async () => {
    await using stage = await openStage()
    const digests = digestsOf(1, 2000)
    await stage.images.add('img_a', digests)
    await stage.visibility.settled()
    const { reads } = stage.images
    await stage.restart()
    expect(await stage.visibility.view(VIEWER).hidden(digests)).toEqual([])
    expect(stage.images.reads).toBe(reads)
  })

  test('are few, whatever the number of images, and drop purged images', async () => {
    await using stage = await openStage()
    for (let i = 0; i < 60; i++) {
      await stage.images.add(`img_${i}`, digestsOf(i, 50 + (i % 7) * 30))
      await stage.visibility.settled()
    }
    expect(stage.files().length).toBeLessThan(10)
    for (let i = 0; i < 60; i++) expect(await stage.visibility.view(VIEWER).hidden(digestsOf(i, 50))).toEqual([])
    for (let i = 0; i < 60; i++) stage.images.remove(`img_${i}`)
    await stage.visibility.settled()
    expect(stage.files()).toEqual([])
  })

  test.each([
    ['a flipped byte in a block', (path: string) => flip(path, 2000)],
    ['a flipped byte in its table', (path: string) => flip(path, readFileSync(path).length - 100)],
    ['a torn end', (path: string) => truncateSync(path, 6000)],
    ['nothing in it', (path: string) => truncateSync(path, 0)],
  ])('are rebuilt when one has %s, and never answer wrongly', async (_what, damage) => {
    await using stage = await openStage()
    const [a, b] = [digestsOf(1, 700), digestsOf(2, 700)]
    await stage.images.add('img_a', a)
    await stage.images.add('img_b', b)
    await stage.visibility.settled()
    stage.images.setStatus('img_b', 'deleted')
    for (const isRestarted of [true, false]) {
      for (const path of stage.files()) damage(path)
      if (isRestarted) await stage.restart()
      expect(await stage.visibility.view(VIEWER).hiddenExactly(a, { imageId: 'img_a' })).toEqual([])
      expect(await stage.visibility.view(VIEWER).hiddenExactly(b, { imageId: 'img_b' })).toHaveLength(700)
      await stage.visibility.settled()
      expect(await stage.visibility.view(VIEWER).hidden(a)).toEqual([])
    }
  })

  test('that a crash left unfinished or already merged are removed', async () => {
    await using stage = await openStage()
    const digests = digestsOf(1, 100)
    await stage.images.add('img_a', digests)
    await stage.visibility.settled()
    const [first = ''] = stage.files()
    const before = readFileSync(first)
    await stage.images.add('img_b', digestsOf(2, 100))
    await stage.visibility.settled()
    writeFileSync(first, before)
    writeFileSync(stage.folder.file('visibility', '99.run.tmp'), before)
    writeFileSync(stage.folder.file('visibility', '98.run'), before)
    await stage.restart()
    await stage.visibility.settled()
    expect(stage.files()).toHaveLength(1)
    expect(await stage.visibility.view(VIEWER).hidden(digests)).toEqual([])
  })
})

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}
