// Settings that operators change while a store runs.

import { expect, test } from 'bun:test'
import { openStoreSettings } from '../../../../agent/system/settings/store-settings.ts'
import { createMemoryKeptValues } from '../../../support/memory/memory-state.ts'

const CONFIGURED = {
  name: 'edge-a',
  description: 'from the file',
  imagesEnabled: true,
  reservedBytes: 1_000_000_000,
  deletion: 'delayed',
  retentionMs: 259_200_000,
} as const

test('images are switched on and off until the next change, across restarts, whatever the configuration says', () => {
  const kept = createMemoryKeptValues()
  const settings = openStoreSettings({ kept, configured: CONFIGURED })
  expect(settings.current()).toEqual({
    name: 'edge-a',
    description: 'from the file',
    enabled: true,
    disabledReason: null,
    imagesEnabled: true,
    retention: { deletion: 'delayed', seconds: 259_200, configured: { deletion: 'delayed', seconds: 259_200 } },
    sync: { bytesPerSecond: null, hours: [], configured: { bytesPerSecond: null, hours: [] } },
    reserve: { bytes: 1_000_000_000, configured: 1_000_000_000 },
    kinds: { accepted: [], configured: [] },
  })
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

test('the deletion policy is the one that operators set, else that of the configuration, each member by itself', () => {
  const kept = createMemoryKeptValues()
  const settings = openStoreSettings({ kept, configured: CONFIGURED })
  expect(settings.deletionPolicy()).toEqual({ deletion: 'delayed', retentionMs: 259_200_000 })
  settings.update({ retention: { seconds: 3600 } })
  expect(settings.deletionPolicy()).toEqual({ deletion: 'delayed', retentionMs: 3_600_000 })
  settings.update({ retention: { deletion: 'never' } })
  // A restart with another configuration keeps what operators set.
  const restarted = openStoreSettings({ kept, configured: { ...CONFIGURED, deletion: 'immediate', retentionMs: 1000 } })
  expect(restarted.deletionPolicy()).toEqual({ deletion: 'never', retentionMs: 3_600_000 })
  expect(restarted.current().retention).toEqual({ deletion: 'never', seconds: 3600, configured: { deletion: 'immediate', seconds: 1 } })
  restarted.update({ retention: { deletion: null } })
  expect(restarted.deletionPolicy()).toEqual({ deletion: 'immediate', retentionMs: 3_600_000 })
  restarted.update({ retention: { seconds: null }, description: 'x' })
  expect(restarted.deletionPolicy()).toEqual({ deletion: 'immediate', retentionMs: 1000 })
})

test('the limits of syncs are those that operators set, else those of the configuration, each member by itself', () => {
  const kept = createMemoryKeptValues()
  const night = { cron: '0 22 * * *', minutes: 480 }
  const configured = { ...CONFIGURED, syncBytesPerSecond: 10_000_000, syncHours: [night] }
  const settings = openStoreSettings({ kept, configured })
  expect(settings.syncLimits()).toEqual({ syncBytesPerSecond: 10_000_000, syncHours: [night] })
  settings.update({ sync: { bytesPerSecond: 0 } })
  expect(settings.current().sync).toEqual({ bytesPerSecond: null, hours: [night], configured: { bytesPerSecond: 10_000_000, hours: [night] } })
  settings.update({ sync: { hours: [] } })
  expect(openStoreSettings({ kept, configured }).syncLimits()).toEqual({ syncBytesPerSecond: 0, syncHours: [] })
  settings.update({ sync: { bytesPerSecond: 70_000, hours: null } })
  expect(settings.syncLimits()).toEqual({ syncBytesPerSecond: 70_000, syncHours: [night] })
  settings.update({ sync: { bytesPerSecond: null } })
  expect(openStoreSettings({ kept, configured }).syncLimits()).toEqual({ syncBytesPerSecond: 10_000_000, syncHours: [night] })
})

test('the reserve of the configuration applies until an operator changes it, which survives a restart', () => {
  const kept = createMemoryKeptValues()
  expect(openStoreSettings({ kept, configured: CONFIGURED }).reservedBytes()).toBe(1_000_000_000)
  const settings = openStoreSettings({ kept, configured: CONFIGURED })
  settings.update({ reserved: 0 })
  expect([settings.reservedBytes(), settings.current().reserve]).toEqual([0, { bytes: 0, configured: 1_000_000_000 }])
  settings.update({ reserved: 5_000_000_000 })
  settings.update({ description: 'x' })
  const reopened = openStoreSettings({ kept, configured: { ...CONFIGURED, reservedBytes: 2_000_000_000 } })
  expect(reopened.current().reserve).toEqual({ bytes: 5_000_000_000, configured: 2_000_000_000 })
  reopened.update({ reserved: null })
  expect(openStoreSettings({ kept, configured: CONFIGURED }).reservedBytes()).toBe(1_000_000_000)
})

test('the kinds of the configuration apply until an operator changes them, and an empty list takes all kinds', () => {
  const kept = createMemoryKeptValues()
  const configured = { ...CONFIGURED, kinds: ['iso'] } as const
  const settings = openStoreSettings({ kept, configured })
  expect([settings.acceptedKinds(), settings.current().kinds]).toEqual([['iso'], { accepted: ['iso'], configured: ['iso'] }])
  settings.update({ kinds: ['template', 'iso', 'template'] })
  expect(openStoreSettings({ kept, configured }).current().kinds).toEqual({ accepted: ['template', 'iso'], configured: ['iso'] })
  settings.update({ description: 'x' })
  settings.update({ kinds: [] })
  expect(openStoreSettings({ kept, configured }).acceptedKinds()).toEqual([])
  settings.update({ kinds: null })
  expect(openStoreSettings({ kept, configured }).acceptedKinds()).toEqual(['iso'])
})

test('the uploads at the same time are those of the configuration until an operator changes them', () => {
  const kept = createMemoryKeptValues()
  const configured = { ...CONFIGURED, uploadConcurrency: 2 }
  const settings = openStoreSettings({ kept, configured })
  expect(settings.uploadConcurrency()).toBe(2)
  settings.update({ transfer: { uploadConcurrency: 5 } })
  settings.update({ transfer: {} })
  expect(openStoreSettings({ kept, configured: { ...configured, uploadConcurrency: 3 } }).uploadConcurrency()).toBe(5)
  settings.update({ transfer: { uploadConcurrency: null } })
  expect(openStoreSettings({ kept, configured }).uploadConcurrency()).toBe(2)
  expect(openStoreSettings({ kept, configured: CONFIGURED }).uploadConcurrency()).toBe(1)
})
