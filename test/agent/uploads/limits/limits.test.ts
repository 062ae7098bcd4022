// Limits of uploads: how long an upload of an actor may be.

import { expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { lengthLimit } from '../../../../agent/uploads/limits/limits.ts'

function linkedActor(maxLength: number): Actor {
  return { name: 'ann', role: 'uploader', link: { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15, maxLength } }
}

test('the limit of an upload is the smaller of the limits of the store and the link', () => {
  expect(lengthLimit(1000, { name: 'ann', role: 'uploader', tokenId: 'tok_1' })).toBe(1000)
  expect(lengthLimit(1000, linkedActor(400))).toBe(400)
  expect(lengthLimit(1000, linkedActor(5000))).toBe(1000)
})
