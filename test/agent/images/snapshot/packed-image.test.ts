// Packed images: what is unpacked is what was packed, and members that are as usual take no bytes.

import { describe, expect, test } from 'bun:test'
import { COMMON_IMAGE } from '../../../../agent/images/catalogue-snapshot.ts'
import { newLife } from '../../../../agent/images/records/image-file.ts'
import type { StoredImage } from '../../../../agent/images/records/image-file.ts'
import { packImage, unpackImage } from '../../../../agent/images/snapshot/packed-image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const RAW = {
  detected: 'raw',
  variant: null,
  clusterSize: null,
  compression: null,
  bootable: null,
  partitionTable: null,
  allocatedSize: null,
  refusal: null,
} as const

function copied(stored: StoredImage): StoredImage {
  return unpackImage(JSON.parse(JSON.stringify(packImage(stored, COMMON_IMAGE))), COMMON_IMAGE)
}

describe('a packed image', () => {
  test.each<[string, Partial<Image>]>([
    ['as it is made', {}],
    ['without details', { formatDetails: null, format: null }],
    ['with the details of a raw disk', { formatDetails: RAW }],
    ['with other details', { formatDetails: { ...RAW, detected: 'qcow2', variant: '3', clusterSize: 65_536, allocatedSize: 0, bootable: false } }],
    ['from a URL', { source: { kind: 'url', uploadId: null, storeId: null, url: 'http://one/', filename: 'a', device: null } }],
    ['in error', { status: 'error', statusReason: 'It is damaged.' }],
    ['with everything else', { labels: { a: 'b' }, bindings: ['vm-1'], requirements: { cpus: 1, memory: null, disk: 0 }, cloudInit: false, hidden: true }],
    ['with empty texts', { name: '', description: '', owner: '', mediaGroup: '' }],
  ])('%s is unpacked as it was', (_name, members) => {
    const stored = { image: { ...memoryImage(), ...members }, life: newLife() }
    expect(copied(stored)).toEqual(stored)
    expect(JSON.stringify(copied(stored).image.formatDetails)).toBe(JSON.stringify(stored.image.formatDetails))
  })

  test('keeps its life', () => {
    const life = newLife({ damage: 'slices', damagedAtMs: 5, compressed: 'sha256:00', before: { status: 'available', statusReason: null } })
    expect(copied({ image: memoryImage(), life })).toEqual({ image: memoryImage(), life })
  })

  test('has no member that is as usual', () => {
    const image = { ...memoryImage(), id: 'img_1', name: 'one', format: 'raw', status: 'available', statusReason: null, formatDetails: RAW } as const
    const packed = packImage({ image, life: newLife() }, COMMON_IMAGE) as [object, object]
    const usual = ['cloudInit', 'hidden', 'protected', 'bindings', 'grants', 'labels', 'formatDetails', 'format', 'status', 'statusReason', 'deletedAt']
    expect(Object.keys(packed[0]).filter((name) => usual.includes(name))).toEqual([])
    expect(packed[0]).toMatchObject({ id: 'img_1', name: 'one' })
    expect(packed[1]).toEqual({})
  })
})
