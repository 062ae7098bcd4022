// Events without a gap and without a double, whatever happens to the stream, the bot and the agent: a model of an agent's event log against
// what is kept.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { BACKLOG_MAX, createEventReader } from '../../../bot/fleet/event-reader.ts'
import { createInbox } from '../../../bot/fleet/inbox.ts'
import { createKeptEvents, KEPT_EVENTS_MAX } from '../../../bot/fleet/kept-events.ts'
import { createRegistry } from '../../../bot/fleet/registry.ts'
import { readEvent, readPosition, StreamRestart } from '../../../bot/fleet/stream-progress.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { StoreEvent } from '../../../protocol/event.ts'

const STORE = 'edge-a'
let stamp = 0

function event(id: number): StoreEvent {
  stamp++
  return { id: String(id), time: new Date(stamp * 1000).toISOString(), type: 'a.b', severity: 'info', subject: 's', message: 'm', actor: 'x', details: {} }
}

/** A bot that follows one agent; `kill` loses what was not written. */
function createFollower() {
  const database = openMemoryDatabase()
  createRegistry(database).add({ name: STORE, url: 'http://a', token: 't', zone: 'z', provider: 'p', storeId: null }, 0)
  const kept = createKeptEvents(database)
  let inbox = createInbox()
  let reader = createEventReader(kept.last(STORE))
  return {
    kept,
    /** Reads a stream: a state, then the events after the start; cut after a number of items. Returns whether it is wanted again. */
    stream(log: readonly StoreEvent[], cutAfter: number, extra: readonly StoreEvent[] = []): boolean {
      const latest = Number(log.at(-1)?.id ?? 0)
      const asked = reader.startId()
      const start = asked === undefined ? latest : Number(asked) > latest ? 0 : Number(asked)
      try {
        if (cutAfter < 1) return false
        readPosition(inbox, reader, STORE, latest)
        for (const one of [...extra, ...log.filter(({ id }) => Number(id) > start)].slice(0, cutAfter - 1)) readEvent(inbox, reader, STORE, one)
        return false
      } catch (error) {
        if (error instanceof StreamRestart) return true
        throw error
      }
    },
    write() {
      kept.keep(inbox.batch().progress, 7)
      inbox.clear()
    },
    kill() {
      inbox = createInbox()
      reader = createEventReader(kept.last(STORE))
    },
    ids: () =>
      kept
        .list({ stores: [STORE], limit: 1000 })
        .map(({ id, timeMs }) => `${id} ${timeMs}`)
        .toSorted(),
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('emit' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('stream' as const), cutAfter: fc.integer({ min: 0, max: 8 }), hasRepeats: fc.boolean() }),
  fc.record({ kind: fc.constant('write' as const) }),
  fc.record({ kind: fc.constant('kill' as const) }),
)

describe('the events that are kept', () => {
  test('are exactly those of the agent after any interleaving of events, cuts, repeats, writes and kills', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const log: StoreEvent[] = [event(1), event(2)]
        const follower = createFollower()
        // Events before the first state are not followed; it is written before anything else happens.
        follower.stream(log, 1)
        follower.write()
        for (const one of steps) {
          if (one.kind === 'emit') for (let i = 0; i < one.count; i++) log.push(event(log.length + 1))
          else if (one.kind === 'stream') expect(follower.stream(log, one.cutAfter, one.hasRepeats ? log.slice(0, 2) : [])).toBeFalse()
          else if (one.kind === 'write') follower.write()
          else follower.kill()
        }
        follower.stream(log, Infinity)
        follower.write()
        const all = log
          .slice(2)
          .slice(-KEPT_EVENTS_MAX)
          .map(({ id, time }) => `${id} ${Date.parse(time)}`)
        expect(follower.ids()).toEqual(all.toSorted())
        expect(follower.kept.skippedMs(STORE)).toBeUndefined()
      }),
    )
  })

  test('never contain an event that the agent does not have, after its event log was restored from a backup', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 30 }),
        fc.boolean(),
        (read, backup, later, isKilled) => {
          const before = Array.from({ length: read }, (_unused, i) => event(i + 1))
          const follower = createFollower()
          follower.stream([], 1)
          follower.stream(before, Infinity)
          follower.write()
          if (isKilled) follower.kill()
          const restored = before.slice(0, Math.min(backup, read))
          for (let i = 0; i < later; i++) restored.push(event(restored.length + 1))
          for (let i = 0; i < 3 && follower.stream(restored, Infinity); i++) follower.write()
          follower.write()
          const now = new Set(restored.map(({ id, time }) => `${id} ${Date.parse(time)}`))
          expect(follower.ids().filter((id) => !now.has(id))).toEqual([])
          expect(follower.ids().length).toBe(restored.length)
          if (backup < read) expect(follower.kept.skippedMs(STORE)).toBe(7)
        },
      ),
    )
  })

  test('begin again with the newest ones when the interruption was too long, and it is told', () => {
    const log = Array.from({ length: 3 }, (_unused, i) => event(i + 1))
    const follower = createFollower()
    follower.stream(log, 1)
    while (log.length < 3 + BACKLOG_MAX) log.push(event(log.length + 1))
    expect(follower.stream(log, 1)).toBeFalse()
    log.push(event(log.length + 1))
    expect(follower.stream(log, Infinity)).toBeTrue()
    expect(follower.stream(log, Infinity)).toBeFalse()
    follower.write()
    expect(follower.ids().length).toBe(100)
    expect(follower.kept.last(STORE)?.id).toBe(504)
    expect(follower.kept.skippedMs(STORE)).toBe(7)
  })

  test('tell that some are missing when an agent skips numbers', () => {
    const follower = createFollower()
    follower.stream([event(1)], 1)
    follower.stream([event(1), event(4)], Infinity)
    follower.write()
    expect(follower.ids().length).toBe(1)
    expect(follower.kept.skippedMs(STORE)).toBe(7)
  })
})
