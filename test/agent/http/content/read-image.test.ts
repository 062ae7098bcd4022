// The image that a read by a digest means: one that the caller may see, unless an image has the digest as its name or id.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { imageOfOrigin, imageWithDigest } from '../../../../agent/http/content/read-image.ts'
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

describe('an image of an origin', () => {
  interface Scene {
    readonly actor?: Actor
    readonly headers?: Record<string, string>
    readonly named?: readonly Image[]
    readonly inProgress?: Image
    readonly found?: Image
    readonly through?: boolean
  }
  const ask = ({ actor = VIEWER, headers = {}, named = [], inProgress, found, through = true }: Scene): Promise<Image | undefined> =>
    imageOfOrigin({
      images: { named: () => named, withDigest: () => [] },
      through: through
        ? {
            inProgress: () => inProgress,
            find: async () => found,
            open: () => Promise.reject(new Error('only found here')),
          }
        : undefined,
      request: new Request('http://agent/v1/images/debian', { headers }),
      idOrDigest: 'img_2',
      actor,
    })
  const link = { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'admin' }, kind: 'download', endMs: 1e15 } as const

  test('is found when this store does not have it', async () => {
    expect((await ask({ found: open }))?.id).toBe('img_2')
    expect(await ask({})).toBeUndefined()
    expect((await ask({ inProgress: open, named: [open] }))?.id).toBe('img_2')
  })

  test.each<[string, Scene]>([
    ['without origins', { through: false }],
    ['by a link, which is for an image of this store', { actor: { ...VIEWER, link } }],
    ['for another store, which wants what is here', { headers: { 'cache-control': 'no-transform, only-if-cached' } }],
    ['when this store has it', { named: [open] }],
  ])('is not looked for %s', async (_when, scene) => {
    expect(await ask({ ...scene, found: open })).toBeUndefined()
  })

  test('that the caller may not see looks as if there were none', async () => {
    expect(await ask({ found: hidden })).toBeUndefined()
  })
})
