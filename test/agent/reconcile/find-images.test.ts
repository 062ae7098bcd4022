// Which images are findings: those that cannot be read in full, and those made from an instance that is gone.

import { describe, expect, test } from 'bun:test'
import { findImages } from '../../../agent/reconcile/find-images.ts'
import type { ImageSearchDeps } from '../../../agent/reconcile/find-images.ts'
import type { FoundFinding } from '../../../agent/reconcile/finding.ts'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { Image, ImageStatus } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'

const START = Date.parse('2026-11-21T00:00:00Z')
const AVAILABLE_AT = '2026-11-21T01:00:00.000Z'
const MANIFEST = `sha256:${'a'.repeat(64)}`

const idOf = (n: number): string => `img_${String(n).padStart(26, '0')}`

function imageOf(n: number, changes: Partial<Image> = {}): Image {
  const known = { id: idOf(n), name: `image-${n}`, status: 'available' as const, length: 5000 }
  return { ...blankImage(known, START), availableAt: AVAILABLE_AT, manifestDigest: MANIFEST, ...changes }
}

const digestOf = (i: number): Uint8Array => {
  const digest = new Uint8Array(32).fill(1)
  new DataView(digest.buffer).setUint32(0, i)
  return digest
}
const numberOf = (digest: Uint8Array): number => new DataView(digest.buffer, digest.byteOffset).getUint32(0)

interface Setting {
  readonly images: readonly Image[]
  /** Lengths of the entries of each image; negative ones are zeros. */
  readonly entries?: readonly number[]
  /** Slices that the store does not have, and those of packs that are gone, by number. */
  readonly missing?: readonly number[]
  readonly lost?: readonly number[]
  readonly instances?: readonly string[]
  readonly isWhole?: boolean
  /** What opening an image throws. */
  readonly refusal?: unknown
  readonly deleted?: Image | undefined
  readonly signal?: AbortSignal
}

async function find({ images, entries = [4096], missing = [], lost = [], instances, isWhole = true, refusal, deleted, signal }: Setting) {
  const { manifest } = await encodeManifest(entries.map((length, i) => ({ length: Math.abs(length), digest: length < 0 ? null : digestOf(i) })))
  const progress: (readonly [number, number])[] = []
  const lookups: number[] = []
  const deletions: string[] = []
  let open = 0
  const deps: ImageSearchDeps = {
    clock: systemClock,
    images: {
      each: () => images,
      isWhole: async () => isWhole,
      slicesIntact: async () => true,
      async open() {
        if (refusal !== undefined) throw refusal
        open++
        return { manifest, [Symbol.dispose]: () => void open-- }
      },
      async delete(id, actor) {
        deletions.push(`${id} ${actor}`)
        return deleted
      },
    } as ImageSearchDeps['images'],
    missing(digests, lengths) {
      lookups.push(digests.length)
      expect(lengths).toEqual(digests.map((digest) => entries[numberOf(digest)] ?? 0))
      return digests.flatMap((digest, i) => (missing.includes(numberOf(digest)) ? [i] : []))
    },
    lostPacks: async () => ({ has: (digest) => lost.includes(numberOf(digest)) }),
    instances: instances && new Set(instances),
    signal: signal ?? new AbortController().signal,
    onProgress: (done, total) => void progress.push([done, total]),
  }
  const found: FoundFinding[] = []
  let failure: unknown
  try {
    for await (const one of findImages(deps)) found.push(one)
  } catch (error) {
    failure = error
  }
  return { found, whats: found.map(({ finding: { kind, what } }) => [kind, what]), progress, lookups, deletions, failure, open: () => open }
}

describe('an image that cannot be read in full', () => {
  test('is a finding with all that an operator must know of it', async () => {
    const { found, open } = await find({ images: [imageOf(1)], entries: [4096, 8192], missing: [1] })
    expect(found.map(({ finding }) => finding)).toEqual([
      {
        id: expect.stringMatching(/^fnd_[0-9a-f]{16}$/),
        kind: 'imageWithoutBytes',
        target: idOf(1),
        what: 'Image image-1 cannot be read in full: 1 of its slices with 8192 bytes are missing.',
        bytes: 5000,
        action: 'delete',
        effect: 'Deletes the image as the policy of the store says: into the recycle bin by default. A protected image and one that is bound is refused.',
        since: AVAILABLE_AT,
      },
    ])
    expect(open()).toBe(0)
  })

  test('counts slices that are missing and those of packs that are gone, each once, and no zeros', async () => {
    const { whats } = await find({ images: [imageOf(1)], entries: [4096, -65_536, 8192, 16_384], missing: [0, 2], lost: [2, 3] })
    expect(whats).toEqual([['imageWithoutBytes', 'Image image-1 cannot be read in full: 3 of its slices with 28672 bytes are missing.']])
  })

  test('is looked up in parts of 512 entries, over the blocks of a long manifest', async () => {
    const { lookups, whats } = await find({ images: [imageOf(1)], entries: Array<number>(2500).fill(4096), missing: [0, 511, 512, 2047, 2048, 2499] })
    expect(lookups).toEqual([512, 512, 512, 512, 452])
    expect(whats).toEqual([['imageWithoutBytes', 'Image image-1 cannot be read in full: 6 of its slices with 24576 bytes are missing.']])
  })

  test('has a manifest that is damaged, whether its file or its content shows it', async () => {
    const what = [['imageWithoutBytes', 'Image image-1 cannot be read in full: its manifest is damaged or missing.']]
    expect((await find({ images: [imageOf(1)], isWhole: false })).whats).toEqual(what)
    expect((await find({ images: [imageOf(1)], refusal: problem('data-corrupt', 'bad') })).whats).toEqual(what)
  })

  test('never had content', async () => {
    const { whats, found } = await find({ images: [imageOf(1, { status: 'error', manifestDigest: null, availableAt: null })] })
    expect(whats).toEqual([['imageWithoutBytes', 'Image image-1 cannot be read in full: it never had content.']])
    expect(found[0]?.finding.since).toBe('2026-11-21T00:00:00.000Z')
  })

  test('is no finding any more when it was removed meanwhile, and the search fails for another reason', async () => {
    expect(await find({ images: [imageOf(1)], refusal: problem('not-found', 'gone') })).toMatchObject({ whats: [], failure: undefined })
    const broken = Object.assign(new Error('EIO'), { code: 'EIO' })
    expect((await find({ images: [imageOf(1)], refusal: broken })).failure).toBe(broken)
  })

  test.each([
    ['available', true],
    ['degraded', true],
    ['error', true],
    ['creating', false],
    ['uploading', false],
    ['pending', false],
    ['deleted', false],
    ['deleting', false],
    ['fileUnavailable', false],
  ] satisfies readonly [ImageStatus, boolean][])('is looked for among those that are %s: %p', async (status, isFound) => {
    expect((await find({ images: [imageOf(1, { status })], missing: [0] })).found).toHaveLength(isFound ? 1 : 0)
  })
})

test('an image that is whole is no finding', async () => {
  expect((await find({ images: [imageOf(1)], instances: [] })).found).toEqual([])
})

describe('an image of an instance', () => {
  const capture = (changes: Partial<Image> = {}): Image => imageOf(1, { kind: 'capture', sourceInstance: 'vm-1', ...changes })
  const kindsOf = async (image: Image, instances: readonly string[] | undefined): Promise<string[]> =>
    (await find({ images: [image], ...(instances && { instances }) })).found.map(({ finding }) => finding.kind)

  test('that is gone is a finding, in words', async () => {
    expect((await find({ images: [capture()], instances: ['vm-2'] })).whats).toEqual([
      ['captureWithoutInstance', 'Image image-1 was made from instance vm-1, which does not exist any more.'],
    ])
  })

  test('that exists, or may exist, is no finding', async () => {
    expect(await kindsOf(capture(), ['vm-1'])).toEqual([])
    expect(await kindsOf(capture(), undefined)).toEqual([])
    expect(await kindsOf(capture({ sourceInstance: null }), [])).toEqual([])
  })

  test('that another instance uses is no finding', async () => {
    expect(await kindsOf(capture({ bindings: ['vm-2', 'vm-3'] }), ['vm-3'])).toEqual([])
    expect(await kindsOf(capture({ bindings: ['vm-2', 'vm-3'] }), ['vm-4'])).toEqual(['captureWithoutInstance'])
  })

  test.each([
    ['capture', true],
    ['snapshot', true],
    ['virtualDisk', true],
    ['backup', false],
    ['base', false],
    ['template', false],
    ['system', false],
    ['disk', false],
    ['iso', false],
  ] satisfies readonly [Image['kind'], boolean][])('is of little use without it if it is of kind %s: %p', async (kind, isFound) => {
    expect(await kindsOf(capture({ kind }), [])).toHaveLength(isFound ? 1 : 0)
  })

  test.each(['deleted', 'deleting'] as const)('is no finding while it is %s', async (status) => {
    expect(await kindsOf(capture({ status }), [])).toEqual([])
  })

  test('that lacks bytes too is one finding', async () => {
    expect((await find({ images: [capture()], instances: [], missing: [0] })).found.map(({ finding }) => finding.kind)).toEqual(['imageWithoutBytes'])
  })
})

test('images are searched in the order of their ids, with the progress of all', async () => {
  const { found, progress } = await find({ images: [imageOf(3), imageOf(1), imageOf(2)], missing: [0] })
  expect(found.map(({ finding }) => finding.target)).toEqual([idOf(1), idOf(2), idOf(3)])
  expect(progress).toEqual([
    [0, 3],
    [1, 3],
    [2, 3],
    [3, 3],
  ])
})

test('a search ends when its task is cancelled', async () => {
  const { failure, found } = await find({ images: [imageOf(1)], missing: [0], signal: AbortSignal.abort(new Error('cancelled')) })
  expect([String(failure), found]).toEqual(['Error: cancelled', []])
})

test('the action deletes the image for the person who asked, and says where it is', async () => {
  const inBin = await find({ images: [imageOf(1)], missing: [0], deleted: imageOf(1, { status: 'deleted' }) })
  expect(await inBin.found[0]?.run('ann')).toBe('The image is in the recycle bin.')
  expect(inBin.deletions).toEqual([`${idOf(1)} ann`])
  const gone = await find({ images: [imageOf(1)], missing: [0] })
  expect(await gone.found[0]?.run('ann')).toBe('The image was removed permanently.')
})

test('the same image with another content is another finding, whose action nobody asked for', async () => {
  const id = async (changes: Partial<Image>): Promise<string | undefined> => (await find({ images: [imageOf(1, changes)], missing: [0] })).found[0]?.finding.id
  expect(await id({})).toBe(await id({ name: 'renamed' }))
  expect(await id({})).not.toBe(await id({ manifestDigest: `sha256:${'b'.repeat(64)}` }))
})
