// The fingerprint of the images of a store.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { fingerprintText, NO_IMAGES, withImage } from '../../../protocol/images/fingerprint.ts'
import type { Fingerprint, FingerprintedImage } from '../../../protocol/images/fingerprint.ts'
import { propertyOptions } from '../../support/properties.ts'

const IMAGE: FingerprintedImage = {
  id: 'img_01',
  name: 'debian-12',
  status: 'available',
  kind: 'template',
  format: 'qcow2',
  length: 1000,
  storedSize: 400,
  digest: null,
  manifestDigest: 'sha256:aa',
  owner: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  deletedAt: null,
  expiresAt: null,
  isOpen: true,
}

const sumOf = (images: readonly FingerprintedImage[]): Fingerprint => images.reduce((sum, image) => withImage(sum, image, 1), NO_IMAGES)

describe('the fingerprint', () => {
  test('is the number of images and a sum that later versions compute too', () => {
    expect(fingerprintText(NO_IMAGES)).toBe('0-0000000000000000')
    expect(fingerprintText(sumOf([IMAGE]))).toBe('1-bf126fff7f32763f')
    expect(fingerprintText(sumOf([IMAGE, { ...IMAGE, id: 'img_02', digest: 'sha256:bb' }]))).toBe('2-29bc2cf732faa67d')
  })

  test('changes with every member', () => {
    const changes: Partial<FingerprintedImage>[] = [
      ...[{ id: 'img_02' }, { name: 'debian-13' }, { status: 'deleted' as const }, { kind: 'base' as const }, { format: 'raw' as const }, { length: 1001 }],
      ...[{ storedSize: null }, { digest: 'sha256:bb' }, { manifestDigest: null }, { owner: 'web' }, { createdAt: '2026-01-02T00:00:00.000Z' }],
      ...[{ deletedAt: '2026-01-02T00:00:00.000Z' }, { expiresAt: '2026-01-02T00:00:00.000Z' }, { isOpen: false }],
    ]
    const texts = [{}, ...changes].map((change) => fingerprintText(sumOf([{ ...IMAGE, ...change }])))
    expect(new Set(texts).size).toBe(15)
  })

  test.each(['creating', 'uploading', 'pending', 'deleting'] as const)('does not count an image in the status %s', (status) => {
    expect(withImage(NO_IMAGES, { ...IMAGE, status }, 1)).toEqual(NO_IMAGES)
  })

  test('does not depend on the order, and forgets what is removed', () => {
    const images = fc.uniqueArray(fc.record({ id: fc.string(), name: fc.string(), length: fc.nat() }), { selector: ({ id }) => id })
    fc.assert(
      fc.property(images, fc.nat(), (some, cut) => {
        const all = some.map((one) => ({ ...IMAGE, ...one }))
        const kept = all.slice(0, cut % (all.length + 1))
        const removed = all.slice(kept.length).reduce((sum, image) => withImage(sum, image, -1), sumOf(all.toReversed()))
        expect(removed).toEqual(sumOf(kept))
      }),
      propertyOptions(100),
    )
  })
})
