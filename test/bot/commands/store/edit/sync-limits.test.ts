// The limits of syncs of a store in commands.

import { expect, test } from 'bun:test'
import { parseSyncLimits, syncLimitsText } from '../../../../../bot/commands/store/edit/sync-limits.ts'

test('options become a change, and a wrong one is refused with the right way to write it', () => {
  expect(parseSyncLimits(undefined, undefined)).toBeUndefined()
  expect(parseSyncLimits('10MB', undefined)).toEqual({ bytesPerSecond: 10_000_000 })
  expect(parseSyncLimits('1 MiB/s', '0 22 * * * for 8h; 0 12 * * 6 for 90m')).toEqual({
    bytesPerSecond: 1_048_576,
    hours: [
      { cron: '0 22 * * *', minutes: 480 },
      { cron: '0 12 * * 6', minutes: 90 },
    ],
  })
  expect(parseSyncLimits('0', 'all')).toEqual({ bytesPerSecond: 0, hours: [] })
  expect(parseSyncLimits('configured', 'configured')).toEqual({ bytesPerSecond: null, hours: null })
  expect(() => parseSyncLimits('1 kB', undefined)).toThrow('sync-rate=1 kB is not a rate from 64 KiB/s to 1 TB/s.')
  expect(() => parseSyncLimits(undefined, 'at night')).toThrow('sync-hours=at night is not a list of at most 16 windows.')
  expect(() => parseSyncLimits(undefined, Array.from({ length: 17 }, () => '0 22 * * * for 8h').join(';'))).toThrow('at most 16 windows')
})

test('the limits are shown', () => {
  expect(syncLimitsText({ bytesPerSecond: null, hours: [], configured: { bytesPerSecond: null, hours: [] } })).toBe('no limit of the rate, at all hours')
  const hours = [{ cron: '0 22 * * *', minutes: 480 }]
  expect(syncLimitsText({ bytesPerSecond: 10_000_000, hours, configured: { bytesPerSecond: null, hours: [] } })).toBe('10 MB/s, only 0 22 * * * for 8h')
})
