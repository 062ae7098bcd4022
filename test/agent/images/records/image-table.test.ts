// The table of images: what it finds by name, media group and digest, and the two counters that caches are checked against.

import { describe, expect, test } from 'bun:test'
import { newLife } from '../../../../agent/images/records/image-file.ts'
import type { StoredImage } from '../../../../agent/images/records/image-file.ts'
import { createImageTable } from '../../../../agent/images/records/image-table.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const [A, B] = ['img_00000000000000000000000001', 'img_00000000000000000000000002'] as const
const stored = (changes: Partial<Image>): StoredImage => ({ image: memoryImage({ manifestDigest: null, digest: null, ...changes }), life: newLife({}) })

describe('counters', () => {
  test('the version increases with every change, the revision when an image is added or removed', () => {
    let changes = 0
    const table = createImageTable(() => void changes++)
    const counters = (): [number, number, number] => [table.version(), table.revision(), changes]
    expect(counters()).toEqual([0, 0, 0])
    table.put(stored({ id: A }))
    expect(counters()).toEqual([1, 1, 1])
    table.put(stored({ id: A, description: 'changed' }))
    expect(counters()).toEqual([2, 1, 2])
    table.put(stored({ id: B }))
    expect(counters()).toEqual([3, 2, 3])
    table.remove(A)
    expect(counters()).toEqual([4, 3, 4])
    table.remove(A)
    expect(counters()).toEqual([5, 3, 5])
  })
})

describe('what the table has', () => {
  test('an image as it was put, newest first', () => {
    const table = createImageTable()
    const first = stored({ id: A, createdAt: '2026-01-01T00:00:00.000Z' })
    const second = stored({ id: B, createdAt: '2026-01-02T00:00:00.000Z' })
    expect(table.put(first)).toBe(first)
    expect(table.put(second)).toBe(second)
    expect(table.get(A)).toBe(first)
    expect(table.all().map(({ image }) => image.id)).toEqual([B, A])
    expect(table.all()).toBe(table.all())
    expect([...table.each()].map(({ image }) => image.id)).toEqual([A, B])
    const later = stored({ id: A, createdAt: '2026-01-03T00:00:00.000Z' })
    table.put(later)
    expect(table.all().map(({ image }) => image.id)).toEqual([A, B])
    table.remove(A)
    expect([table.get(A), table.all().map(({ image }) => image.id)]).toEqual([undefined, [B]])
  })

  test('an image with the group that it is placed in, and all else as it was given', () => {
    const table = createImageTable(
      () => {},
      (image) => ({ ...image, mediaGroup: 'renamed' }),
    )
    const given = stored({ id: A, mediaGroup: 'old' })
    const put = table.put(given)
    expect(put.image.mediaGroup).toBe('renamed')
    expect(put.life).toBe(given.life)
    expect(table.get(A)?.image.mediaGroup).toBe('renamed')
    expect([[...table.inGroup('renamed')], [...table.inGroup('old')]]).toEqual([[A], []])
  })

  test('ids by name, group, digest and manifest digest, as they are now', () => {
    const table = createImageTable()
    const [file, manifest] = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`] as const
    const found = (): unknown => ({
      old: [...table.named('old')],
      new: [...table.named('new')],
      group: [...table.inGroup('web')],
      groups: [...table.groups()],
      file: [...table.withDigest(file)],
      manifest: [...table.withDigest(manifest)],
    })
    table.put(stored({ id: A, name: 'old', mediaGroup: 'web', digest: file, manifestDigest: manifest }))
    table.put(stored({ id: B, name: 'old', mediaGroup: null, manifestDigest: manifest }))
    expect(found()).toEqual({ old: [A, B], new: [], group: [A], groups: ['web'], file: [A], manifest: [A, B] })
    table.put(stored({ id: A, name: 'new', mediaGroup: null, digest: null, manifestDigest: manifest }))
    expect(found()).toEqual({ old: [B], new: [A], group: [], groups: [], file: [], manifest: [A, B] })
    table.put(stored({ id: A, name: 'new', mediaGroup: 'web', digest: file, manifestDigest: manifest }))
    table.remove(A)
    expect(found()).toEqual({ old: [B], new: [], group: [], groups: [], file: [], manifest: [B] })
  })
})

describe('a lock', () => {
  test('runs the changes of one image in order, and those of another beside them', async () => {
    const table = createImageTable()
    const gate = Promise.withResolvers<void>()
    const order: string[] = []
    const first = table.locked(A, async () => {
      order.push('first starts')
      await gate.promise
      order.push('first ends')
    })
    const second = table.locked(A, async () => order.push('second'))
    await table.locked(B, async () => order.push('other'))
    expect(order).toEqual(['first starts', 'other'])
    gate.resolve()
    await Promise.all([first, second])
    expect(order).toEqual(['first starts', 'other', 'first ends', 'second'])
  })
})
