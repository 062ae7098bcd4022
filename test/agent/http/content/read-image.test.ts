// The image that a read by a digest means: one that the caller may see, unless an image has the digest as its name or id.

import { expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { imageWithDigest } from '../../../../agent/http/content/read-image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`
const VIEWER: Actor = { name: 'vic', role: 'viewer', tokenId: 'tok_1', subject: 'vic' }
const hidden = memoryImage({ id: 'img_1', grants: [{ subject: 'user:bob', rights: ['read'] }] })
const open = memoryImage({ id: 'img_2' })

const find = (idOrDigest: string, found: readonly Image[], named: readonly Image[] = []): string | undefined =>
  imageWithDigest({ images: { named: () => named, withDigest: () => found }, idOrDigest, actor: VIEWER })?.id

test('a digest means the first image with it that the caller may see', () => {
  expect(find(DIGEST, [hidden, open])).toBe('img_2')
  expect(find(DIGEST, [hidden])).toBeUndefined()
  expect(find(DIGEST, [])).toBeUndefined()
})

test('what is no digest, or the name of an image, is not looked up as one', () => {
  expect(find('img_2', [open])).toBeUndefined()
  expect(find(DIGEST, [open], [memoryImage({ id: 'img_3', name: DIGEST })])).toBeUndefined()
})
