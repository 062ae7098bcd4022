// What waits in the outbox, in which order it is taken, and its bounds.

import { describe, expect, test } from 'bun:test'
import { createDeliveries } from '../../../bot/outbox/deliveries.ts'
import type { Allowance, Delivery } from '../../../bot/outbox/deliveries.ts'
import { createOutbox } from '../../../bot/outbox/outbox.ts'
import type { OutboxPost } from '../../../bot/outbox/outbox.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const ALL: Allowance = { mayPost: () => true, mayEdit: () => true }
const MINUTE = 60_000

function open() {
  const clock = createManualClock(0)
  clock.advance(1_000_000)
  const database = openMemoryDatabase()
  const outbox = createOutbox(database, clock)
  const deliveries = createDeliveries(database)
  const put = (key: string, title: string, rest: Partial<OutboxPost> = {}): void =>
    outbox.put({ key, channel: 'C1', view: makeView({ title, asOfMs: 0, json: { big: 'not kept' } }), ...rest })
  const next = (allowance: Partial<Allowance> = {}): Delivery | undefined => deliveries.next({ ...ALL, ...allowance }, clock.nowMs())
  /** What is next, in one line. */
  const line = (delivery = next()): string | undefined => {
    if (!delivery) return undefined
    if (delivery.kind === 'notice') return `notice ${delivery.channel}`
    const where = delivery.kind === 'edit' ? delivery.ts : (delivery.threadTs ?? '')
    return [delivery.kind, delivery.channel, where, delivery.view.title].filter((word) => word !== '').join(' ')
  }
  let posted = 0
  /** Delivers what is next, and returns it as a line. */
  const take = (allowance: Partial<Allowance> = {}): string | undefined => {
    const delivery = next(allowance)
    if (delivery?.kind === 'post') deliveries.posted(delivery, { channel: delivery.channel, ts: `${++posted}.0` }, clock.nowMs())
    if (delivery?.kind === 'edit') deliveries.edited(delivery, clock.nowMs())
    if (delivery?.kind === 'notice') deliveries.told(delivery.channel, clock.nowMs())
    return delivery && line(delivery)
  }
  const takeAll = (): string[] => {
    const lines: string[] = []
    for (let taken = take(); taken !== undefined; taken = take()) lines.push(taken)
    return lines
  }
  /** Adds messages that wait, without the cost of `put`. */
  const fill = (count: number, { bytes = 10, at = clock.nowMs(), thread = '' } = {}): void => {
    const insert = database.query(
      `INSERT INTO outbox (key, channel, or_else, thread_key, ts, view, bytes, put_ms, revision, attempts, not_before_ms, is_plain, is_told, changed_ms)
       VALUES ($key, 'C9', '', $thread, NULL, '{"title":"x","asOfMs":0}', $bytes, $at, 1, 0, 0, 0, 0, $at)`,
    )
    database.transaction(() => {
      for (let n = 0; n < count; n++) insert.run({ key: `fill ${at} ${n}`, bytes, at, thread })
    })()
  }
  const count = (where: string): number => database.query<{ n: number }, []>(`SELECT count(*) AS n FROM outbox WHERE ${where}`).get()?.n ?? -1
  return { clock, database, outbox, deliveries, put, next, line, take, takeAll, fill, count }
}

describe('a message', () => {
  test('is posted once, and edited by later Views with its key', () => {
    const it = open()
    it.put('a', 'one')
    expect(it.takeAll()).toEqual(['post C1 one'])
    it.put('a', 'two', { channel: 'C2' })
    expect(it.takeAll()).toEqual(['edit C1 1.0 two'])
    expect(it.takeAll()).toEqual([])
  })

  test('that waits is replaced by the newest View, and keeps its turn', () => {
    const it = open()
    it.put('a', 'one')
    it.clock.advance(1)
    it.put('b', 'other')
    it.clock.advance(1)
    it.put('a', 'two')
    expect(it.takeAll()).toEqual(['post C1 two', 'post C1 other'])
    it.put('a', 'three')
    it.put('a', 'four')
    expect(it.takeAll()).toEqual(['edit C1 1.0 four'])
  })

  test('that changes while it is posted is edited afterwards', () => {
    const it = open()
    it.put('a', 'one')
    const taken = it.next()
    it.put('a', 'two')
    if (taken?.kind !== 'post') throw new Error('not a post')
    it.deliveries.posted(taken, { channel: 'D7', ts: '7.0' }, it.clock.nowMs())
    expect(it.takeAll()).toEqual(['edit D7 7.0 two'])
  })

  test('is part of the transaction of the caller', () => {
    const it = open()
    const failing = it.database.transaction(() => {
      it.put('a', 'one')
      throw new Error('no')
    })
    expect(() => failing()).toThrow('no')
    expect(it.takeAll()).toEqual([])
    it.database.transaction(() => it.put('a', 'two'))()
    expect(it.takeAll()).toEqual(['post C1 two'])
  })

  test('wakes who waits for a change', async () => {
    const it = open()
    const changed = it.outbox.changed()
    it.put('a', 'one')
    await changed
  })

  test('keeps its View, without the facts as JSON', () => {
    const it = open()
    const view = makeView({ title: 'T', text: 'x', tone: 'bad', fields: [{ label: 'L', value: 'V' }], asOfMs: 5, json: { big: 1 } })
    it.outbox.put({ key: 'a', channel: 'C1', view })
    expect(it.next()).toMatchObject({ kind: 'post', view: { ...view, json: null } })
  })

  test('that is too long is cut, and says so', () => {
    const it = open()
    const field = (length: number) => ({ fields: [{ label: 'L', value: 'x'.repeat(length) }], asOfMs: 0, json: null })
    const around = JSON.stringify({ ...makeView({ title: 'T', ...field(0) }) }).length
    it.outbox.put({ key: 'a', channel: 'C1', view: makeView({ title: 'T', ...field(128 * 1024 - around) }) })
    expect(it.next()).toMatchObject({ view: { fields: [{ label: 'L' }], notes: [] } })
    it.outbox.put({ key: 'a', channel: 'C1', view: makeView({ title: 'T', text: 'y', ...field(128 * 1024 - around) }) })
    expect(it.next()).toMatchObject({
      view: { title: 'T', text: 'y', fields: [], notes: ['The rest of this message was too long to keep: ask with a command.'] },
    })
  })
})

describe('the order', () => {
  test('is messages, replies in threads, edits', () => {
    const it = open()
    it.put('a', 'a')
    it.takeAll()
    it.put('a', 'a again')
    it.clock.advance(1)
    it.put('r', 'reply', { threadKey: 'a' })
    it.clock.advance(1)
    it.put('b', 'b')
    expect(it.takeAll()).toEqual(['post C1 b', 'post C1 1.0 reply', 'edit C1 1.0 a again'])
  })

  test('is that of the puts within a kind, also within one millisecond', () => {
    const it = open()
    for (const key of ['x', 'a', 'k']) it.put(key, key)
    expect(it.takeAll()).toEqual(['post C1 x', 'post C1 a', 'post C1 k'])
    for (const key of ['k', 'x', 'a']) {
      it.put(key, key)
      it.clock.advance(1)
    }
    expect(it.takeAll()).toEqual(['edit C1 3.0 k', 'edit C1 1.0 x', 'edit C1 2.0 a'])
  })

  test('passes over a channel and a message that must wait', () => {
    const it = open()
    it.put('a', 'a')
    it.put('b', 'b', { channel: 'C2' })
    expect(it.take({ mayPost: (channel) => channel !== 'C1' })).toBe('post C2 b')
    expect(it.take({ mayPost: () => false })).toBeUndefined()
    it.takeAll()
    it.put('a', 'a2')
    it.put('b', 'b2')
    expect(it.take({ mayEdit: (key) => key !== 'a' })).toBe('edit C2 1.0 b2')
    expect(it.take({ mayEdit: () => false })).toBeUndefined()
  })

  test('lets a reply wait for the message of its thread', () => {
    const it = open()
    it.put('r', 'reply', { threadKey: 'a' })
    it.put('a', 'root', { channel: 'U1' })
    const root = it.next()
    expect(it.line(root)).toBe('post U1 root')
    if (root?.kind !== 'post') throw new Error('not a post')
    it.deliveries.posted(root, { channel: 'D1', ts: '5.0' }, it.clock.nowMs())
    expect(it.take()).toBe('post D1 5.0 reply')
  })

  test('posts a reply into the channel when its thread is not known, or was deleted', () => {
    const it = open()
    it.put('r', 'reply', { threadKey: 'never' })
    expect(it.take()).toBe('post C1 reply')
    it.put('a', 'root')
    it.take()
    it.put('s', 'second', { threadKey: 'a' })
    it.deliveries.unthread('s')
    expect(it.take()).toBe('post C1 second')
  })
})

describe('what is late', () => {
  test('is told once per channel, before the messages', () => {
    const it = open()
    it.put('e', 'edited')
    it.put('o', 'other', { channel: 'C2' })
    it.takeAll()
    it.put('e', 'edited again')
    it.put('a', 'a')
    it.clock.advance(MINUTE - 1)
    it.put('b', 'b')
    expect(it.next()?.kind).toBe('post')
    it.clock.advance(1)
    expect(it.next()).toEqual({ kind: 'notice', channel: 'C1', messages: 1, edits: 1, oldestMs: 1_000_000, dropped: 0 })
    expect(it.take()).toBe('notice C1')
    // The next notice is at least ten minutes later.
    it.clock.advance(MINUTE)
    expect(it.takeAll()).toEqual(['post C1 a', 'post C1 b', 'edit C1 1.0 edited again'])
    it.put('c', 'c')
    it.clock.advance(9 * MINUTE - 1)
    expect(it.next()?.kind).toBe('post')
    it.clock.advance(1)
    expect(it.next()).toMatchObject({ kind: 'notice', messages: 1, edits: 0 })
  })

  test('is not told again for the same messages', () => {
    const it = open()
    it.put('a', 'a')
    it.clock.advance(MINUTE)
    expect(it.take()).toBe('notice C1')
    it.clock.advance(20 * MINUTE)
    expect(it.take()).toBe('post C1 a')
    // A message that was told as late and waits again is told again.
    it.put('a', 'a2')
    it.clock.advance(MINUTE)
    expect(it.take()).toBe('notice C1')
  })
})

describe('the bounds', () => {
  test('at 5,000 the least important is dropped, and its channel is told', () => {
    const it = open()
    it.put('posted', 'posted')
    it.takeAll()
    it.put('posted', 'edit')
    it.put('reply', 'reply', { threadKey: 'posted' })
    it.fill(4_997)
    it.put('a', 'a')
    expect(it.count('view IS NOT NULL')).toBe(5_000)
    it.put('b', 'b')
    expect(it.count("key = 'reply'")).toBe(0)
    it.put('c', 'c')
    expect(it.count("key = 'posted' AND view IS NULL")).toBe(1)
    it.put('d', 'd')
    expect(it.count("key = 'fill 1000000 0'")).toBe(0)
    expect(it.count('view IS NOT NULL')).toBe(5_000)
    expect(it.next()).toEqual({ kind: 'notice', channel: 'C1', messages: 0, edits: 0, oldestMs: null, dropped: 2 })
    expect([it.take(), it.take()]).toEqual(['notice C1', 'notice C9'])
    expect(it.line()).toMatch(/^post/)
  })

  test('32 MiB wait at most', () => {
    const it = open()
    it.fill(255, { bytes: 128 * 1024 })
    it.put('small', 'small')
    expect(it.count('view IS NOT NULL')).toBe(256)
    it.fill(1, { bytes: 128 * 1024, at: 5_000_000 })
    it.put('small', 'small')
    expect(it.count('view IS NOT NULL')).toBe(256)
    expect(it.count("key = 'fill 1000000 0'")).toBe(0)
  })

  test('what waits for more than a day is dropped', () => {
    const it = open()
    it.put('a', 'a')
    it.put('posted', 'posted', { channel: 'C2' })
    it.take({ mayPost: (channel) => channel === 'C2' })
    it.put('posted', 'edit')
    it.clock.advance(86_400_000)
    it.deliveries.expire(it.clock.nowMs())
    expect(it.count('view IS NOT NULL')).toBe(2)
    it.clock.advance(1)
    it.deliveries.expire(it.clock.nowMs())
    expect(it.count('view IS NOT NULL')).toBe(0)
    // The message that was posted can still be edited.
    it.put('posted', 'later')
    expect([it.take(), it.take(), it.take(), it.take()]).toEqual(['notice C1', 'notice C2', 'edit C2 1.0 later', undefined])
  })

  test('delivered messages are forgotten 30 days after their last change', () => {
    const it = open()
    it.put('a', 'a')
    it.takeAll()
    it.clock.advance(30 * 86_400_000)
    it.put('a', 'edit')
    expect(it.takeAll()).toEqual(['edit C1 1.0 edit'])
    it.clock.advance(30 * 86_400_000 + 1)
    it.put('other', 'other')
    it.put('a', 'new')
    expect(it.takeAll()).toEqual(['post C1 other', 'post C1 new'])
  })

  test('of delivered messages the newest 10,000 are kept', () => {
    const it = open()
    it.fill(10_000)
    it.database.run("UPDATE outbox SET view = NULL, ts = '1.0', changed_ms = rowid")
    it.put('a', 'a')
    it.take()
    it.put('b', 'b')
    expect(it.count('view IS NULL')).toBe(10_000)
    expect(it.count("key = 'fill 1000000 0'")).toBe(0)
  })
})

describe('a refusal of Slack', () => {
  test('of the channel sends the message to the other one, once', () => {
    const it = open()
    it.put('a', 'a', { orElse: 'U1' })
    expect(it.deliveries.closed('a')).toBe(true)
    expect(it.line()).toBe('post U1 a')
    expect(it.deliveries.closed('a')).toBe(false)
    expect(it.next()).toBeUndefined()
  })

  test('of an edit of a deleted message forgets it', () => {
    const it = open()
    it.put('a', 'a')
    it.take()
    it.put('a', 'a2')
    it.deliveries.gone('a')
    expect(it.next()).toBeUndefined()
    it.put('a', 'a3')
    expect(it.take()).toBe('post C1 a3')
  })

  test('of the blocks leaves the text, then drops the View', () => {
    const it = open()
    it.put('a', 'a')
    const first = it.next()
    if (first?.kind !== 'post') throw new Error('not a post')
    expect([first.isPlain, it.deliveries.invalid(first)]).toEqual([false, true])
    const second = it.next()
    if (second?.kind !== 'post') throw new Error('not a post')
    expect([second.isPlain, it.deliveries.invalid(second)]).toEqual([true, false])
    expect([it.take(), it.take()]).toEqual(['notice C1', undefined])
  })

  test('for another reason is tried five times, a minute apart', () => {
    const it = open()
    it.put('a', 'a')
    const isNext: boolean[] = []
    for (let n = 0; n < 5; n++) {
      const taken = it.next()
      if (taken?.kind !== 'post') throw new Error('not a post')
      isNext.push(it.deliveries.refused(taken, it.clock.nowMs()))
      it.clock.advance(MINUTE - 1)
      expect(it.next({ mayPost: () => true })?.kind === 'post').toBe(false)
      it.clock.advance(1)
      it.deliveries.told('C1', it.clock.nowMs())
    }
    expect(isNext).toEqual([true, true, true, true, false])
    expect(it.count('view IS NOT NULL')).toBe(0)
  })
})

test('keys of messages and threads are cut to 200 characters', () => {
  using database = openMemoryDatabase()
  const outbox = createOutbox(database, createManualClock(0))
  outbox.put({ key: 'k'.repeat(201), channel: 'C1', threadKey: 't'.repeat(201), view: makeView({ title: 'x', asOfMs: 0, json: {} }) })
  outbox.put({ key: 'l'.repeat(200), channel: 'C1', threadKey: 'u'.repeat(200), view: makeView({ title: 'x', asOfMs: 0, json: {} }) })
  const rows = database.query<{ key: number; thread: number }, []>('SELECT length(key) AS key, length(thread_key) AS thread FROM outbox').all()
  expect(rows).toEqual([
    { key: 200, thread: 200 },
    { key: 200, thread: 200 },
  ])
})
