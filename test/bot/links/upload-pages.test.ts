// Which store the page of a link belongs to, how long, and how many there may be; and the turns and places of requests.

import { describe, expect, test } from 'bun:test'
import { createBodySlots, REQUESTS_MAX, REQUESTS_PER_LINK_MAX } from '../../../bot/gateway/body-slots.ts'
import { createUploadPages, PAGE_LIFE_MS, PAGES_MAX } from '../../../bot/links/upload-pages.ts'
import { createUploadTurns, TURN_WAIT_MS, WAITERS_MAX } from '../../../bot/gateway/upload-turns.ts'
import { createRegistry } from '../../../bot/fleet/registry.ts'
import { CLEAR_VAULT } from '../../../bot/credentials/vault.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { until } from '../../support/until.ts'

const SECRET = `slu_${'a'.repeat(43)}`
const HOUR_MS = 3_600_000

function open() {
  const clock = createManualClock()
  const database = openMemoryDatabase()
  const registry = createRegistry(database, CLEAR_VAULT)
  registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const pages = createUploadPages(database, clock)
  const add = (secret = SECRET): string =>
    pages.add({
      store: 'edge-a',
      id: 'lnk_1',
      url: `http://10.0.0.1:8420/v1/uploads?link=${secret}`,
      expiresAt: new Date(clock.nowMs() + HOUR_MS).toISOString(),
    })
  return { clock, database, registry, pages, add }
}

describe('the page of a link', () => {
  test('is found by the secret, of which the database has a hash', () => {
    const { pages, add, database } = open()
    expect(add()).toBe(`/u/${SECRET}`)
    expect(pages.find(SECRET)).toEqual({ store: 'edge-a', link: 'lnk_1', origin: 'http://10.0.0.1:8420' })
    expect(JSON.stringify(database.query('SELECT * FROM upload_pages').all())).not.toContain(SECRET)
    for (const other of [`slu_${'b'.repeat(43)}`, '', 'slu_', `${SECRET}a`, "' OR 1=1 --"]) expect(pages.find(other)).toBeUndefined()
  })

  test('stays thirty days after the link expired, because an upload that began may go on', () => {
    const { pages, add, clock } = open()
    add()
    clock.advance(HOUR_MS + PAGE_LIFE_MS - 1)
    expect(pages.find(SECRET)).toBeDefined()
    clock.advance(1)
    expect(pages.find(SECRET)).toBeUndefined()
    expect(PAGE_LIFE_MS).toBe(2_592_000_000)
  })

  test('follows a new name of its store, and goes with the store', () => {
    const { pages, add, registry } = open()
    add()
    registry.change('edge-a', { name: 'edge-b' })
    expect(pages.find(SECRET)?.store).toBe('edge-b')
    registry.remove('edge-b')
    expect(pages.find(SECRET)).toBeUndefined()
  })

  test('makes room: those over the limit go, the oldest first', () => {
    const { pages, add, clock, database } = open()
    add()
    database.transaction(() => {
      const insert = database.query("INSERT INTO upload_pages (hash, store, link, origin, until_ms) VALUES ($hash, 'edge-a', 'l', 'o', $until)")
      for (let i = 1; i < PAGES_MAX; i++) insert.run({ hash: String(i), until: clock.nowMs() + PAGE_LIFE_MS + 2 * HOUR_MS })
    })()
    expect(pages.find(SECRET)).toBeDefined()
    clock.advance(1)
    add(`slu_${'c'.repeat(43)}`)
    expect([pages.find(SECRET), pages.find(`slu_${'c'.repeat(43)}`)?.link]).toEqual([undefined, 'lnk_1'])
    expect(database.query<{ n: number }, []>('SELECT count(*) AS n FROM upload_pages').get()?.n).toBe(20_000)
  })
})

describe('places', () => {
  test('are bounded for one link and for all', () => {
    const slots = createBodySlots()
    const own = Array.from({ length: REQUESTS_PER_LINK_MAX }, () => slots.take('a'))
    expect([own.includes(undefined), slots.take('a')]).toEqual([false, undefined])
    own[0]?.[Symbol.dispose]()
    expect(slots.take('a')).toBeDefined()
    const others = Array.from({ length: REQUESTS_MAX - REQUESTS_PER_LINK_MAX }, (_none, i) => slots.take(`b${i}`))
    expect([others.includes(undefined), slots.take('c')]).toEqual([false, undefined])
    others[0]?.[Symbol.dispose]()
    expect(slots.take('c')).toBeDefined()
    expect([REQUESTS_MAX, REQUESTS_PER_LINK_MAX]).toEqual([512, 8])
  })
})

describe('turns', () => {
  const free = async (turns: ReturnType<typeof createUploadTurns>, end = (): void => {}): Promise<() => Promise<void>> => {
    const lock = turns.forRequest('upl_1', end).newLock('upl_1')
    await lock.lock(new AbortController().signal, () => {})
    return () => lock.unlock()
  }

  test('are given one after the other, and a request that waits ends the one before it', async () => {
    const turns = createUploadTurns({ clock: createManualClock() })
    let ends = 0
    const release = await free(turns, () => void ends++)
    const next = free(turns)
    await until('the first is asked to end', () => ends === 1)
    await release()
    await (
      await next
    )()
    expect(turns.held).toBe(0)
  })

  test('refuse after twenty seconds, and when too many wait', async () => {
    const clock = createManualClock()
    const turns = createUploadTurns({ clock })
    const release = await free(turns)
    const waiting = Array.from({ length: WAITERS_MAX }, () => free(turns).catch((error: Error) => error.message))
    await expect(free(turns)).rejects.toThrow('Other requests for this upload are in progress.')
    clock.advance(TURN_WAIT_MS)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['Other requests for this upload are in progress.']))
    await release()
    await (
      await free(turns)
    )()
    expect([turns.held, TURN_WAIT_MS, WAITERS_MAX]).toEqual([0, 20_000, 16])
  })
})
