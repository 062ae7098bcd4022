// When images may be added.

import { describe, expect, test } from 'bun:test'
import { createImagePolicy } from '../../../../agent/commands/parts/image-policy.ts'

function policyOf(isEnabled: boolean, isStoreEnabled = true) {
  const settings = {
    isEnabled: () => isStoreEnabled,
    requireEnabled() {
      if (!isStoreEnabled) throw new Error('the store is disabled')
    },
  }
  return createImagePolicy({ ...settings, areImagesEnabled: () => isEnabled })
}

describe('images switched off', () => {
  test('refuses even if the store is enabled', () => {
    const policy = policyOf(false)
    expect(policy.isEnabled()).toBe(false)
    expect(() => policy.requireEnabled()).toThrow('Image feature is not enabled.')
    expect(policyOf(true).isEnabled()).toBe(true)
    expect(() => policyOf(true).requireEnabled()).not.toThrow()
  })

  test('a disabled store refuses too', () => {
    expect(() => policyOf(true, false).requireEnabled()).toThrow('the store is disabled')
    expect(policyOf(true).isEnabled()).toBe(true)
  })
})
