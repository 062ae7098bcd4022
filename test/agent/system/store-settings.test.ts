// Settings that operators change while a store runs.

import { expect, test } from 'bun:test'
import { openStoreSettings } from '../../../agent/system/store-settings.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const CONFIGURED = { name: 'edge-a', description: 'from the file', imagesEnabled: true }

test('images are switched on and off until the next change, across restarts, whatever the configuration says', () => {
  const kept = createMemoryKeptValues()
  const settings = openStoreSettings({ kept, configured: CONFIGURED })
  expect(settings.current()).toEqual({ name: 'edge-a', description: 'from the file', enabled: true, disabledReason: null, imagesEnabled: true })
  settings.update({ imagesEnabled: false })
  expect(settings.areImagesEnabled()).toBe(false)
  // The store itself stays enabled.
  expect(settings.isEnabled()).toBe(true)
  expect(openStoreSettings({ kept, configured: CONFIGURED }).areImagesEnabled()).toBe(false)
  settings.update({ description: 'changed' })
  expect(settings.current()).toMatchObject({ description: 'changed', imagesEnabled: false })
  settings.update({ imagesEnabled: true })
  expect(openStoreSettings({ kept, configured: { ...CONFIGURED, imagesEnabled: false } }).areImagesEnabled()).toBe(true)
})

test('the configuration applies until the first change', () => {
  const settings = openStoreSettings({ kept: createMemoryKeptValues(), configured: { ...CONFIGURED, imagesEnabled: false } })
  expect(settings.current().imagesEnabled).toBe(false)
})
