// Who may add images.

import { describe, expect, test } from 'bun:test'
import { createImagePolicy } from '../../../agent/commands/image-policy.ts'
import type { Image } from '../../../protocol/image.ts'

function policyOf(images: { enabled?: boolean; maxPerOwner?: number }, owned: Readonly<Record<string, number>> = {}, isStoreEnabled = true) {
  const settings = {
    isEnabled: () => isStoreEnabled,
    requireEnabled() {
      if (!isStoreEnabled) throw new Error('the store is disabled')
    },
  }
  const list = ({ owner = '' }, { limit }: { limit: number }) => ({ items: Array.from({ length: Math.min(limit, owned[owner] ?? 0) }, () => ({}) as Image) })
  return createImagePolicy({ images: { enabled: true, maxPerOwner: 0, ...images }, settings, list })
}

describe('images switched off', () => {
  test('refuses whatever the store says', () => {
    const policy = policyOf({ enabled: false })
    expect(policy.isEnabled()).toBe(false)
    expect(() => policy.requireEnabled()).toThrow('Image feature is not enabled.')
  })

  test('a disabled store refuses too', () => {
    expect(() => policyOf({}, {}, false).requireEnabled()).toThrow('the store is disabled')
    expect(policyOf({}).isEnabled()).toBe(true)
  })
})

describe('limit per owner', () => {
  test('holds for each owner alone, and not for images without one', () => {
    const policy = policyOf({ maxPerOwner: 2 }, { ann: 2, bob: 1 })
    expect(() => policy.admit({ owner: 'ann' })).toThrow('Maximum image limit reached: ann has 2 images.')
    expect(() => policy.admit({ owner: 'bob' })).not.toThrow()
    expect(() => policy.admit({})).not.toThrow()
  })

  test('is none at 0', () => {
    expect(() => policyOf({}, { ann: 1000 }).admit({ owner: 'ann' })).not.toThrow()
  })
})
