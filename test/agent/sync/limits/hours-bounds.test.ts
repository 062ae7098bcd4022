// How far the search for common hours of several lists looks: 32 openings, and never more than a day.

import { expect, test } from 'bun:test'
import { allHoursAt } from '../../../../agent/sync/limits/hours.ts'

const NOW_MS = Date.parse('2026-01-05T10:00:00Z')

test.each([
  // The hours open in turns, 30 minutes apart: 32 openings later it is 16 hours later.
  ['every half hour in turns', '0 * * * *', '30 * * * *', '2026-01-06T02:00:00.000Z'],
  // Twelve hours apart, 32 openings would take 16 days.
  ['every half day in turns', '0 10 * * *', '0 22 * * *', '2026-01-06T10:00:00.000Z'],
])('hours that open %s are looked at again later', (_what, one, other, again) => {
  const lists = [one, other].map((cron) => [{ cron, minutes: 1 }])
  expect(allHoursAt(lists, 'UTC', NOW_MS)).toEqual({ kind: 'closed', fromMs: Date.parse(again) })
})
