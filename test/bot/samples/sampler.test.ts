// The sampler: a minute of what was seen, rates from counters that are reset, and gaps while nothing is known.

import { describe, expect, test } from 'bun:test'
import type { Sighting } from '../../../bot/fleet/states.ts'
import type { StoreRecord } from '../../../bot/fleet/registry.ts'
import { HOUR_MS, MINUTE_MS } from '../../../bot/samples/keys.ts'
import { UNIT_BYTES, VALUE_MAX } from '../../../bot/samples/sample.ts'
import { runSampler } from '../../../bot/samples/sampler.ts'
import { FLEET_SERIES } from '../../../bot/samples/samples.ts'
import type { Store } from '../../../protocol/store.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { storeOf } from '../commands/scripted-fleet.ts'
import { MIDNIGHT_MS, openSamples } from './fixture.ts'

const ID = '11111111-2222-4333-8444-555555555555'
/** An agent sends its state this often. */
const STATE_MS = 20_000
const NO_LOG = { debug() {}, info() {}, warn() {}, error() {} }

function open() {
  const opened = openSamples(new Set([ID]))
  const clock = createManualClock(MIDNIGHT_MS)
  const records: StoreRecord[] = []
  const record = (name: string, storeId: string | null = ID): StoreRecord => {
    const times = { addedMs: 0, lastSeenMs: null, stoppedSinceMs: null, stoppedReason: null, reconnectMs: null, reconnectAsked: 0 }
    const made = { name, url: 'http://a.example', token: 'x', zone: '', provider: 'local', storeId, ...times }
    records.push(made)
    return made
  }
  const logged: string[] = []
  const log = { ...NO_LOG, error: (text: string) => void logged.push(text) }
  const sampler = runSampler({ samples: opened.samples, registry: { list: () => records }, clock, log })
  const answered = (store: StoreRecord, members: Partial<Store> = {}): Sighting => ({
    kind: 'answered',
    store,
    value: { health: { state: 'running', checks: [], asOf: '' }, store: { ...storeOf(), ...members }, tasks: null },
    asOfMs: clock.nowMs(),
  })
  const traffic = (received: number, served = 0, since = 'a'): Partial<Store> => ({ traffic: { received, served, since } })
  const minutes = (id: string = ID) => opened.samples.minutes(id, MIDNIGHT_MS, MIDNIGHT_MS + HOUR_MS).map(({ sample }) => sample)
  return {
    ...{ ...opened, clock, records, record, sampler, answered, traffic, minutes, logged },
    /** Sees a store, and lets its minute end. */
    minute(store: StoreRecord, members: Partial<Store>) {
      clock.advance(MINUTE_MS - STATE_MS)
      sampler.saw([answered(store, members)])
      clock.advance(STATE_MS)
    },
    [Symbol.dispose]() {
      sampler[Symbol.dispose]()
      opened[Symbol.dispose]()
    },
  }
}

describe('a minute', () => {
  test('has state, space, slices and scrub of every store, and the fleet', () => {
    using stage = open()
    const scrubbedAt = '2025-12-31T12:00:00.000Z'
    stage.minute(stage.record('edge-a'), { scrubbedAt })
    const known = { running: 1, measured: 1, used: Math.floor(4e11 / UNIT_BYTES), slices: 10, rated: 0, scrubbed: Date.parse(scrubbedAt) / MINUTE_MS }
    expect(stage.minutes()).toMatchObject([known])
    expect(stage.minutes(FLEET_SERIES)).toMatchObject([known])
  })

  test('of a store that is Stopped or answers as another one has its state alone; of one that fell silent in between, nothing', () => {
    using stage = open()
    const store = stage.record('edge-a')
    stage.minute(store, stage.traffic(0))
    stage.sampler.saw([{ kind: 'stopped', store, sinceMs: 0, lastSeenMs: 0, reason: 'It is gone.', asOfMs: stage.clock.nowMs() }])
    stage.clock.advance(2 * MINUTE_MS)
    stage.sampler.saw([stage.answered(store)])
    // The last answer is too old by the end of the minute.
    stage.clock.advance(MINUTE_MS)
    stage.minute(store, { id: '99999999-2222-4333-8444-555555555555' })
    expect(stage.minutes().map(({ running, stopped, error, measured }) => [running, stopped, error, measured])).toEqual([
      [1, 0, 0, 1],
      [0, 1, 0, 0],
      [0, 1, 0, 0],
      [0, 0, 1, 0],
    ])
    expect(stage.minutes().at(-1)).toMatchObject({ error: 1, measured: 0, rated: 0 })
  })

  test('keeps the series of a store that gets another name, and leaves out one that was never seen or is registered twice', () => {
    using stage = open()
    const store = stage.record('edge-a')
    stage.record('never', null)
    stage.record('twice')
    stage.minute(store, {})
    stage.records.length = 0
    stage.minute(stage.record('edge-b'), {})
    expect(stage.minutes()).toHaveLength(2)
    expect(stage.count('sample_series')).toBe(2)
  })

  test('of an agent that says what cannot be is within bounds', () => {
    using stage = open()
    const capacity = { total: 1e308, used: -5, free: 0.5, reserved: 0, available: 0 }
    stage.minute(stage.record('edge-a'), { capacity, scrubbedAt: 'never' })
    expect(stage.minutes()).toMatchObject([{ total: VALUE_MAX, used: 0, scrubbed: 0 }])
  })

  test('that cannot be written is a gap, is logged, and the next one is written', () => {
    using stage = open()
    const store = stage.record('edge-a')
    stage.database.run(`CREATE TRIGGER full BEFORE INSERT ON sample_minutes BEGIN SELECT RAISE(ABORT, 'disk is full'); END`)
    stage.minute(store, {})
    stage.database.run('DROP TRIGGER full')
    stage.minute(store, {})
    expect([stage.minutes().length, stage.logged.length]).toEqual([1, 1])
  })
})

describe('rates', () => {
  test('follow from the counters of two minutes, and start again with an agent that was restarted', () => {
    using stage = open()
    const store = stage.record('edge-a')
    stage.minute(store, stage.traffic(1000, 500))
    stage.minute(store, stage.traffic(1000 + 6_000_000, 500))
    // Restarted: 600 kB since.
    stage.minute(store, stage.traffic(600_000, 60, 'b'))
    // Counters that went back without a restart.
    stage.minute(store, stage.traffic(60, 60, 'b'))
    expect(stage.minutes().map(({ rated, ingest, egress }) => [rated, ingest, egress])).toEqual([
      [0, 0, 0],
      [1, 100_000, 0],
      [1, 10_000, 1],
      [1, 1, 1],
    ])
  })

  test('are not known across an outage, nor for agents that do not count', () => {
    using stage = open()
    const store = stage.record('edge-a')
    stage.minute(store, stage.traffic(0))
    stage.clock.advance(4 * MINUTE_MS)
    stage.minute(store, stage.traffic(9e9))
    stage.minute(store, {})
    stage.minute(store, stage.traffic(9e9))
    expect(stage.minutes().map(({ rated }) => rated)).toEqual([0, 0, 0, 0])
  })
})
