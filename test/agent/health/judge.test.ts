// How measured facts are judged: each boundary, and that every finding that is not ok has an impact and an action.

import { describe, expect, test } from 'bun:test'
import type { Finding } from '../../../agent/contract/health.ts'
import {
  judgeBacklog,
  judgeCertificate,
  judgeClock,
  judgeEventLoop,
  judgeImages,
  judgeIndex,
  judgeMount,
  judgeQuarantine,
  judgeSchedules,
  judgeScrub,
  judgeSpace,
  judgeWritable,
} from '../../../agent/health/judge.ts'

const NOW = Date.UTC(2026, 5, 1)
const DAY = 86_400_000
const GB = 1_000_000_000
const EMPTY_BIN = { images: 0, storedBytes: 0 }

const space = (freeBytes: number) => ({ totalBytes: 100 * GB, freeBytes, reservedBytes: GB, promisedBytes: 0, availableBytes: Math.max(0, freeBytes - GB) })
const scrub = (more: object) => ({ endedMs: NOW - DAY, corrupt: 0, missing: 0, faults: 0, damagedRoots: [], sinceMs: NOW - 99 * DAY, ...more })
const schedule = (more: object) => ({ name: 'scrub', paused: false, running: false, nextRunMs: NOW + DAY, lastFailure: null, ...more })
const there = { kind: 'reachable', store: 'own', answeredMs: 3 } as const

const CASES: [string, Finding['state'], Finding][] = [
  ['a loop that is on time', 'ok', judgeEventLoop({ delayMsMax: 0, lateTimes: 0, residentBytes: 1 })],
  ['a loop that was late twice', 'ok', judgeEventLoop({ delayMsMax: 4999, lateTimes: 2, residentBytes: 1 })],
  ['a loop that was late three times', 'warning', judgeEventLoop({ delayMsMax: 250, lateTimes: 3, residentBytes: 1 })],
  ['a loop that is late and was blocked for less than five seconds', 'warning', judgeEventLoop({ delayMsMax: 4999, lateTimes: 9, residentBytes: 1 })],
  ['a loop that was blocked', 'failed', judgeEventLoop({ delayMsMax: 5000, lateTimes: 1, residentBytes: 1 })],
  ['a mount path that exists', 'ok', judgeMount('/srv', there)],
  ['a mount path that is not reachable', 'failed', judgeMount('/srv', { kind: 'unreachable', code: 'ENOTCONN' })],
  ['another store', 'failed', judgeMount('/srv', { ...there, store: 'other' })],
  ['a bare mount point', 'failed', judgeMount('/srv', { ...there, store: 'none' })],
  ['a mount path that accepts files', 'ok', judgeWritable('/srv', null)],
  ['a read-only mount path', 'failed', judgeWritable('/srv', 'EROFS')],
  ['a full mount path', 'failed', judgeWritable('/srv', 'ENOSPC')],
  ['much space', 'ok', judgeSpace(space(50 * GB), null, NOW, EMPTY_BIN)],
  ['space twice the reserve', 'ok', judgeSpace(space(2 * GB), null, NOW, EMPTY_BIN)],
  ['space below twice the reserve', 'warning', judgeSpace(space(2 * GB - 1), null, NOW, EMPTY_BIN)],
  ['space at the reserve', 'warning', judgeSpace(space(GB), null, NOW, EMPTY_BIN)],
  ['space below the reserve', 'failed', judgeSpace(space(GB - 1), null, NOW, EMPTY_BIN)],
  ['full in eight days', 'ok', judgeSpace(space(50 * GB), NOW + 8 * DAY, NOW, EMPTY_BIN)],
  ['full in six days', 'warning', judgeSpace(space(50 * GB), NOW + 6 * DAY, NOW, EMPTY_BIN)],
  ['no reserve at all', 'ok', judgeSpace({ ...space(GB), reservedBytes: 0, availableBytes: GB }, null, NOW, EMPTY_BIN)],
  ['a full disk without a reserve', 'failed', judgeSpace({ ...space(1), reservedBytes: 0, availableBytes: 1 }, null, NOW, EMPTY_BIN)],
  ['an open index database', 'ok', judgeIndex({ kind: 'open', slices: 5, rebuilding: null })],
  ['an index database that is being rebuilt', 'warning', judgeIndex({ kind: 'open', slices: 5, rebuilding: { done: 1, total: 3 } })],
  ['a broken index database', 'failed', judgeIndex({ kind: 'broken', reason: 'malformed' })],
  ['a clean scrub', 'ok', judgeScrub(scrub({}), NOW)],
  ['a young store that was never scrubbed', 'ok', judgeScrub(scrub({ endedMs: null, sinceMs: NOW - DAY }), NOW)],
  ['an old store that was never scrubbed', 'warning', judgeScrub(scrub({ endedMs: null }), NOW)],
  ['a scrub 16 days ago', 'warning', judgeScrub(scrub({ endedMs: NOW - 16 * DAY }), NOW)],
  ['a scrub with findings', 'failed', judgeScrub(scrub({ corrupt: 1, damagedRoots: ['image img_1'] }), NOW)],
  ['a scrub with faults of packs', 'warning', judgeScrub(scrub({ faults: 1 }), NOW)],
  ['a scrub with a damaged manifest', 'failed', judgeScrub(scrub({ faults: 1, damagedRoots: ['image img_1'] }), NOW)],
  ['no damaged images', 'ok', judgeImages(0)],
  ['damaged images', 'failed', judgeImages(1)],
  ['an empty quarantine', 'ok', judgeQuarantine(0)],
  ['slices in quarantine', 'failed', judgeQuarantine(2)],
  ['schedules on time', 'ok', judgeSchedules([schedule({})], NOW)],
  ['a schedule four minutes late', 'ok', judgeSchedules([schedule({ nextRunMs: NOW - 4 * 60_000 })], NOW)],
  ['a schedule six minutes late', 'failed', judgeSchedules([schedule({ nextRunMs: NOW - 6 * 60_000 })], NOW)],
  ['a late schedule that is running', 'ok', judgeSchedules([schedule({ nextRunMs: NOW - DAY, running: true })], NOW)],
  ['a paused schedule', 'ok', judgeSchedules([schedule({ nextRunMs: null, paused: true })], NOW)],
  ['a schedule whose task failed', 'warning', judgeSchedules([schedule({ lastFailure: 'failed: no space' })], NOW)],
  ['a short backlog', 'ok', judgeBacklog({ queued: 99, running: 2 })],
  ['a long backlog', 'warning', judgeBacklog({ queued: 100, running: 2 })],
  ['a clock that runs', 'ok', judgeClock({ latestMs: NOW - 1, stepMs: 0 }, NOW)],
  ['a clock that was corrected a little', 'ok', judgeClock({ latestMs: NOW + 4000, stepMs: -4000 }, NOW)],
  ['a clock that jumped', 'warning', judgeClock({ latestMs: 0, stepMs: 60_000 }, NOW)],
  ['a clock behind the latest recorded time', 'failed', judgeClock({ latestMs: NOW + DAY, stepMs: 0 }, NOW)],
  ['a clock that was never set', 'failed', judgeClock({ latestMs: 0, stepMs: 0 }, 1000)],
  ['no TLS on loopback', 'ok', judgeCertificate(null, NOW, [])],
  ['no TLS beyond loopback', 'warning', judgeCertificate(null, NOW, ['10.0.0.5'])],
  ['a certificate of 14 days', 'ok', judgeCertificate(NOW + 14 * DAY, NOW, [])],
  ['a certificate of 13 days', 'warning', judgeCertificate(NOW + 13 * DAY, NOW, [])],
  ['a certificate that ended', 'failed', judgeCertificate(NOW, NOW, [])],
]

describe('a finding', () => {
  for (const [name, state, finding] of CASES) {
    test(`of ${name} is ${state}`, () => {
      expect(finding.state).toBe(state)
      expect(finding.measured).not.toBe('')
      if (state === 'ok') expect([finding.impact, finding.action]).toEqual(['', ''])
      else for (const sentence of [finding.impact, finding.action]) expect(sentence).toMatch(/^[A-Z].*\.$/s)
    })
  }

  test('shows figures and the forecast', () => {
    expect(judgeSpace(space(50 * GB), NOW + 40 * DAY, NOW, EMPTY_BIN).failsAt).toStartWith('2026-07-11T')
    expect(judgeSpace(space(50 * GB), null, NOW, EMPTY_BIN).failsAt).toBeUndefined()
    expect(judgeSpace(space(50 * GB), NOW + 40 * DAY, NOW, EMPTY_BIN).measured).toBe('50 GB of 100 GB free, 49 GB above the reserve, full about 2026-07-11')
    expect(judgeScrub(scrub({ corrupt: 2, missing: 1, damagedRoots: ['image a', 'image b'] }), NOW).impact).toContain('image a, image b')
  })
})

test('a full disk names the commands that free space, and the size of the recycle bin', () => {
  const action = 'Delete images for good (image purge), then run store cleanup, or add space.'
  expect(judgeSpace(space(GB - 1), null, NOW, EMPTY_BIN).action).toBe(action)
  expect(judgeSpace(space(GB - 1), null, NOW, { images: 3, storedBytes: 2 * GB }).action).toBe(`${action} The recycle bin has 3 images of 2.0 GB.`)
  expect(judgeWritable('/srv', 'ENOSPC').action).toBe(action)
})
