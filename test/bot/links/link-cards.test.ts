// The cards of upload links with an agent whose answers the test gives: when they ask, what they say at each end, and what a restart of the bot keeps.

import { describe, expect, test } from 'bun:test'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import type { Sighting } from '../../../bot/fleet/states.ts'
import { createLinkCards, LINK_CARDS_MAX } from '../../../bot/links/link-cards.ts'
import { openBot } from '../../../bot/open.ts'
import type { OutboxPost } from '../../../bot/outbox/outbox.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { BotDatabase } from '../../../bot/system/database.ts'
import type { FollowedLink } from '../../../protocol/views/view.ts'
import type { StoreEvent } from '../../../protocol/event.ts'
import type { Health } from '../../../protocol/health.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import type { UploadLink } from '../../../protocol/upload-link.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { until } from '../../support/until.ts'

const LINK: FollowedLink = { store: 'edge-a', id: 'lnk_1', name: 'debian', maxLength: 1000, expiresAt: '2027-01-01T00:00:00.000Z', by: 'ada (U1)' }
const AT_AGENT: UploadLink = {
  ...{ id: 'lnk_1', state: 'open', name: 'debian', draft: {}, maxLength: 1000, createdBy: 'ada (U1) via bot', expiresAt: LINK.expiresAt },
  ...{ createdAt: '2026-01-01T00:00:00.000Z', endedAt: null, uploadId: null, imageId: null },
}
const USED: Partial<UploadLink> = { state: 'used', uploadId: 'upl_1', imageId: 'img_1' }

function open(database: BotDatabase = openMemoryDatabase()) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const posts: OutboxPost[] = []
  const agent = {
    ...{ link: AT_AGENT as UploadLink | undefined, image: undefined as Partial<Image> | undefined, isGone: false, asked: 0, failsToPut: false },
    /** What each answer waits for. */
    held: Promise.resolve(),
  }
  const missing = (): Response =>
    Response.json(makeProblem('not-found', 'There is none.'), { status: 404, headers: { 'content-type': 'application/problem+json' } })
  const bot = openBot('', {
    clock,
    database,
    async fetch(url) {
      if (agent.isGone) throw new TypeError('connection refused')
      agent.asked++
      await agent.held
      if (new URL(url).pathname.startsWith('/v1/links/')) return agent.link ? Response.json(agent.link) : missing()
      if (!agent.image) return missing()
      return Response.json(blankImage({ id: 'img_1', name: 'debian', kind: 'system', format: 'raw', status: 'available', length: 900, ...agent.image }, 0))
    },
  })
  const { registry } = bot.fleet
  if (!registry.find('edge-a')) registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const outbox = {
    put(post: OutboxPost) {
      if (agent.failsToPut) throw new Error('disk full')
      posts.push(post)
    },
  }
  const cards = createLinkCards({ database, fleet: bot.fleet, outbox, clock, log })
  let position = 0
  const event = (type: string, subject: string, more: { hasSkipped?: boolean } = {}): void => {
    const one: StoreEvent = { id: String(++position), time: '2026-01-01T00:00:00.000Z', type, severity: 'info', subject, message: '', actor: '', details: {} }
    cards.read([{ store: 'edge-a', position, events: [one], hasSkipped: more.hasSkipped ?? false, isReset: false }])
  }
  /** Lets the bot see the store, with an upload that has so many bytes; `null` for a store without a stream. */
  const see = (done?: number | null, store = 'edge-a'): void => {
    const record = registry.find(store)
    if (!record) throw new Error(`no store ${store}`)
    const progress = { done: done ?? 0, total: 900, unit: 'bytes', rate: 0, etaSeconds: null } as const
    const task = { id: 'tsk_1', kind: 'upload', state: 'running', subject: 'img_1', createdBy: 'ada', progress } as const
    const tasks = done === null ? null : { running: 1, queued: 0, items: done === undefined ? [] : [task] }
    const health = { state: 'running', checks: [] as Health['checks'], asOf: '2026-01-01T00:00:00.000Z' } as const
    const sighting: Sighting = { kind: 'answered', store: record, value: { health, store: null, tasks }, asOfMs: clock.nowMs() }
    cards.saw([sighting])
  }
  const said = (): string[] => posts.map(({ view }) => view.text)
  const kept = (): number => database.query<{ n: number }, []>('SELECT count(*) AS n FROM link_cards').get()?.n ?? -1
  const says = (part: string): Promise<unknown> => until(`a card that says ${part}`, () => said().at(-1)?.includes(part))
  return { cards, clock, log, posts, agent, event, see, said, says, kept, database, registry }
}

describe('the card of a link', () => {
  test('is posted without the link, for the channel or else the person, and follows events to the image', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    expect(it.posts).toMatchObject([{ key: 'link lnk_1 edge-a', channel: 'C1', orElse: 'U1' }])
    expect(it.said()).toEqual(['The link was given to the person who asked. Nothing has arrived yet.'])
    expect(it.posts[0]?.view.actions.map(({ label, command }) => [label, command])).toEqual([['Revoke', 'link revoke lnk_1 store=edge-a']])
    it.agent.link = { ...AT_AGENT, ...USED }
    it.event('link.used', 'lnk_1')
    await it.says('The upload has begun.')
    it.see(300)
    // An edit so soon after the last one waits.
    expect(it.said()).toHaveLength(2)
    it.clock.advance(3000)
    it.see(400)
    expect(it.posts.at(-1)?.view.progress.map(({ task }) => task.progress.done)).toEqual([400])
    it.agent.link = { ...AT_AGENT, ...USED, state: 'completed' }
    it.agent.image = { status: 'creating' }
    it.event('link.completed', 'lnk_1')
    await it.says('The store inspects the image.')
    expect(it.kept()).toBe(1)
    it.agent.image = { status: 'available' }
    it.event('image.available', 'img_1')
    await it.says('Image debian is available, 900 B.')
    expect(it.posts.at(-1)?.view.actions.map(({ command }) => command)).toEqual(['image show img_1 store=edge-a'])
    expect(it.kept()).toBe(0)
    expect(it.log.lines).toEqual([])
  })

  test.each<[string, Partial<UploadLink>, Partial<Image> | undefined, string]>([
    ['expired unused', { state: 'expired' }, undefined, 'Nothing was uploaded until 2027-01-01 00:00:00 UTC.'],
    ['revoked', { state: 'revoked' }, undefined, 'The link was revoked.'],
    ['cancelled', { ...USED, state: 'cancelled' }, undefined, 'The upload was deleted before its end.'],
    [
      'completed, image in error',
      { ...USED, state: 'completed' },
      { status: 'error', statusReason: 'It is not qcow2.' },
      'The image cannot be used: It is not qcow2.',
    ],
    ['completed, image degraded', { ...USED, state: 'completed' }, { status: 'degraded' }, 'All bytes have arrived. Image debian has the status degraded.'],
    ['completed, image removed', { ...USED, state: 'completed' }, undefined, 'All bytes had arrived, but the image was removed since.'],
  ])('ends with the reason when the link is %s', async (_what, link, image, text) => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.agent.link = { ...AT_AGENT, ...link }
    it.agent.image = image
    it.event('link.anything', 'lnk_1')
    await it.says(text)
    expect(it.kept()).toBe(0)
  })

  test('of an upload that began and then expired says so', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.agent.link = { ...AT_AGENT, ...USED }
    it.event('link.used', 'lnk_1')
    await it.says('The upload has begun.')
    it.agent.link = { ...AT_AGENT, ...USED, state: 'expired' }
    it.event('upload.expired', 'upl_1')
    await it.says('The upload stopped and expired.')
  })

  test('ends when its store forgets the link, or is removed', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.agent.link = undefined
    it.event('link.used', 'lnk_1')
    await it.says('edge-a no longer knows this link')
    const other = open()
    other.cards.open('C1', 'U1', LINK)
    other.registry.add({ name: 'edge-b', url: 'http://127.0.0.1:2', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
    other.registry.remove('edge-a')
    other.see(undefined, 'edge-b')
    expect(other.said().at(-1)).toContain('or is not registered any more')
    expect([it.kept(), other.kept()]).toEqual([0, 0])
  })

  test('asks only when something happened: not for events of others, and not while the store is seen', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.agent.link = { ...AT_AGENT, ...USED }
    it.see()
    await it.says('The upload has begun.')
    // The question has ended when the turn of the event loop has.
    await Bun.sleep(0)
    for (let i = 0; i < 20; i++) {
      it.clock.advance(20_000)
      it.see()
      it.event('image.created', 'img_other')
    }
    expect(it.agent.asked).toBe(1)
    it.event('any', 'other', { hasSkipped: true })
    await until('a question after a gap', () => it.agent.asked === 2)
  })

  test('of a store without a stream asks once a minute', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.see(null)
    await until('the first question', () => it.agent.asked === 1)
    it.clock.advance(59_999)
    it.see(null)
    it.clock.advance(1)
    it.agent.link = { ...AT_AGENT, state: 'revoked' }
    it.see(null)
    await it.says('The link was revoked.')
    expect(it.agent.asked).toBe(2)
  })

  test('asks when the time of a link is over, also without an event', async () => {
    const it = open()
    const expiresAt = new Date(it.clock.nowMs() + 60_000).toISOString()
    it.agent.link = { ...AT_AGENT, expiresAt }
    it.cards.open('C1', 'U1', { ...LINK, expiresAt })
    it.see()
    await until('the first question', () => it.agent.asked === 1)
    it.clock.advance(60_000)
    it.agent.link = { ...AT_AGENT, expiresAt, state: 'expired' }
    await until('the end', () => {
      it.see()
      return it.said().at(-1)?.includes('Nothing was uploaded until')
    })
  })

  test('waits while its store is silent, and for the database', async () => {
    const it = open()
    it.cards.open('C1', 'U1', LINK)
    it.agent.isGone = true
    it.event('link.used', 'lnk_1')
    await until('the silence', () => it.registry.find('edge-a')?.stoppedSinceMs)
    it.agent.isGone = false
    it.agent.link = { ...AT_AGENT, ...USED }
    it.agent.failsToPut = true
    it.see()
    await until('the failure', () => it.log.lines.length > 0)
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'following an upload link failed', fields: { key: 'link lnk_1 edge-a' } }])
    it.agent.failsToPut = false
    it.see()
    await it.says('The upload has begun.')
  })
})

describe('a restart of the bot', () => {
  test('continues each card, and repeats no message', async () => {
    const database = openMemoryDatabase()
    const first = open(database)
    first.cards.open('C1', 'U1', LINK)
    first.agent.link = { ...AT_AGENT, ...USED }
    first.event('link.used', 'lnk_1')
    await first.says('The upload has begun.')
    await first.cards.stop()
    const second = open(database)
    second.agent.link = { ...AT_AGENT, ...USED }
    second.see()
    await until('the question', () => second.agent.asked === 1)
    second.agent.link = { ...AT_AGENT, ...USED, state: 'completed' }
    second.agent.image = { status: 'available' }
    second.event('image.available', 'img_1')
    await second.says('Image debian is available, 900 B.')
    expect(second.posts.map(({ key, channel }) => [key, channel])).toEqual([['link lnk_1 edge-a', 'C1']])
    expect(second.kept()).toBe(0)
  })

  test('finds the store under its new name, and drops a row that cannot be read', async () => {
    const database = openMemoryDatabase()
    const first = open(database)
    first.cards.open('C1', 'U1', LINK)
    database.run("INSERT INTO link_cards VALUES ('broken', 'edge-a', 'C1', '{}', '')")
    database.run("UPDATE stores SET name = 'edge-z' WHERE name = 'edge-a'")
    const second = open(database)
    expect(second.kept()).toBe(1)
    second.agent.link = { ...AT_AGENT, state: 'revoked' }
    second.see(undefined, 'edge-z')
    await second.says('The link was revoked.')
    expect(second.posts.at(-1)?.view.title).toBe('Upload of debian to edge-z')
  })
})

test('a stop waits for the question in progress, and its answer changes no card', async () => {
  const it = open()
  it.cards.open('C1', 'U1', LINK)
  const gate = Promise.withResolvers<void>()
  it.agent.held = gate.promise
  it.agent.link = { ...AT_AGENT, ...USED }
  it.event('link.used', 'lnk_1')
  await until('the agent was asked', () => it.agent.asked === 1)
  let isStopped = false
  const stopped = it.cards.stop().then(() => (isStopped = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(isStopped).toBe(false)
  gate.resolve()
  await stopped
  expect(it.posts).toHaveLength(1)
})

test('at most 1,000 cards are followed; the card of one more says so', () => {
  const it = open()
  for (let i = 0; i < LINK_CARDS_MAX; i++) it.cards.open('C1', 'U1', { ...LINK, id: `lnk_${i}` })
  it.cards.open('C1', 'U1', { ...LINK, id: 'lnk_more' })
  expect([it.kept(), it.posts.length]).toEqual([1000, 1001])
  expect(it.posts.at(-1)?.view.notes).toEqual(['Too many upload links are followed, so this message does not change: see link list.'])
})
