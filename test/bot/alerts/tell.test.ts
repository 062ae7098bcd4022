// What channels are told: cards that are edited, threads, silences, maintenance, summaries of many, reminders, and nothing twice after a restart.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openAlertScene, START_MS } from './scene.ts'
import type { Look } from './scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OPS = 'C024BE91L'
const NIGHT = 'C0NIGHT01'

type Scene = ReturnType<typeof openAlertScene>

const titles = (it: Scene, channel = OPS): string[] => it.messages().flatMap((one) => (one.channel === channel ? [one.view.title] : []))
const texts = (it: Scene): string[] => it.messages().map(({ view }) => `${view.title}: ${view.text}`)

/** Stores of one zone, all of which look like this. */
function all(count: number, look: Look): Record<string, Look> {
  return Object.fromEntries(names(count).map((name) => [name, look]))
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_unused, i) => `store-${String(i).padStart(3, '0')}`)
}

function openZone(count: number): Scene {
  return openAlertScene(Object.fromEntries(names(count).map((name) => [name, 'zone-1'])))
}

describe('a card', () => {
  test('says what is wrong, and is edited when somebody acknowledges it and when it is resolved', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    expect(await it.run('alert subscribe', 'operator', OPS)).toMatchObject({ outcome: 'done' })
    it.see({ 'edge-a': 'stopped' })
    it.pass(50)
    const [card] = it.messages()
    expect(it.messages()).toHaveLength(1)
    expect(card?.view).toMatchObject({
      title: 'edge-a Stopped',
      text: 'edge-a in zone-1: Stopped since 2026-01-01 00:00:05 UTC. Critical. Open. A1.',
      tone: 'bad',
    })
    expect(card?.view.fields.map(({ label }) => label)).toEqual(['Finding', 'Impact', 'Next'])
    expect(card?.view.actions.map(({ label, command }) => `${label}: ${command}`)).toEqual([
      'Acknowledge: alert ack A1',
      'Silence 2 h: alert silence edge-a check=store-stopped for=2h',
      'Reconnect edge-a: store reconnect edge-a',
      'Health of edge-a: store health edge-a',
    ])
    it.pass(60)
    expect(it.messages()[0]?.revision).toBe(1)

    await it.run('alert ack A1')
    it.pass(1)
    expect(texts(it)).toEqual([
      'edge-a Stopped: edge-a in zone-1: Stopped since 2026-01-01 00:00:05 UTC. Critical. Acknowledged by ann. A1.',
      'A1 edge-a Stopped: Acknowledged by ann.',
    ])
    it.see({ 'edge-a': {} })
    it.pass(65)
    expect(texts(it)).toEqual([
      'edge-a Stopped: resolved: edge-a in zone-1: Stopped since 2026-01-01 00:00:05 UTC. Critical. Resolved 2026-01-01 00:02:55 UTC. A1.',
      'A1 edge-a Stopped: Acknowledged by ann.',
      'A1 edge-a Stopped: Resolved.',
    ])
    expect(it.messages().map(({ threadKey }) => threadKey)).toEqual(['', card?.key ?? '-', card?.key ?? '-'])
    expect(it.messages()[0]?.view).toMatchObject({ tone: 'good', actions: [] })
  })

  test('is edited for a measured value at most every five minutes', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe', 'operator', OPS)
    it.see({ 'edge-a': { a: 'failed' } })
    it.pass(120)
    for (let i = 0; i < 10; i++) {
      it.see({ 'edge-a': { [`b${i}`]: 'failed' } })
      it.pass(60)
    }
    expect(it.messages()).toHaveLength(1)
    expect(it.messages()[0]?.revision).toBe(3)
  })

  test('of an incident that opens again is another message', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe', 'operator', OPS)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    it.see({ 'edge-a': {} })
    it.pass(120)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    expect(titles(it)).toEqual(['edge-a Stopped: resolved', 'A1 edge-a Stopped', 'edge-a Stopped'])
    expect(it.messages()[2]?.view.text).toContain('Open, came back 1 time. A1.')
    expect(it.messages()[2]?.threadKey).toBe('')
  })

  test('goes where it is wanted: by store, zone and severity, also when the severity rises later', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    await it.run('alert subscribe zone=zone-2', 'operator', OPS)
    await it.run('alert subscribe severity=critical', 'operator', NIGHT)
    it.see({ 'edge-a': { 'free-space': 'warning' }, 'edge-b': { 'free-space': 'warning', tasks: 'warning' } })
    it.pass(125)
    expect([titles(it), titles(it, NIGHT)]).toEqual([['edge-b: free space'], []])
    it.see({ 'edge-a': { 'free-space': 'failed' } })
    it.pass(5)
    expect([titles(it), titles(it, NIGHT)]).toEqual([['edge-b: free space'], ['edge-a: free space']])
  })

  test('of what is open already follows a subscription, and is still edited after its end', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': 'stopped' })
    it.pass(100)
    expect(it.messages()).toEqual([])
    await it.run('alert subscribe', 'operator', OPS)
    it.pass(1)
    expect(titles(it)).toEqual(['edge-a Stopped'])
    expect(await it.run('alert unsubscribe', 'operator', OPS)).toMatchObject({ outcome: 'done' })
    it.see({ 'edge-a': {} })
    it.pass(65)
    expect(titles(it)).toEqual(['edge-a Stopped: resolved'])
  })
})

describe('without threads', () => {
  test('every message goes into the channel', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe thread=off', 'operator', OPS)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    await it.run('alert ack A1')
    it.see({ 'edge-a': {} })
    it.pass(70)
    expect(it.messages().map(({ threadKey }) => threadKey)).toEqual(['', '', ''])
  })
})

describe('a silence', () => {
  test('sends nothing while it lasts, and what is still open when it ends', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe', 'operator', OPS)
    await it.run('alert silence edge-a for=2m')
    it.see({ 'edge-a': 'stopped' })
    it.pass(110)
    expect(it.messages()).toEqual([])
    it.pass(15)
    expect(titles(it)).toEqual(['edge-a Stopped'])
  })

  test('of an incident that was sent is shown on its card', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe', 'operator', OPS)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    await it.run('alert silence edge-a for=2h')
    it.pass(1)
    expect(it.messages()[0]?.view.text).toEndWith('Open, silenced until 2026-01-01 02:01:00 UTC by ann. A1.')
    it.see({ 'edge-a': {} })
    it.pass(70)
    expect(titles(it)).toEqual(['edge-a Stopped: resolved'])
  })
})

test('alerts of a store in maintenance are not sent until it ends', async () => {
  using it = openAlertScene({ 'edge-a': 'zone-1' })
  await it.run('alert subscribe', 'operator', OPS)
  it.bot.fleet.registry.change('edge-a', { maintenance: { untilMs: START_MS + 200_000, reason: '', by: 'ann' } })
  it.see({ 'edge-a': 'stopped' })
  it.pass(195)
  expect(it.messages()).toEqual([])
  it.pass(15)
  expect(titles(it)).toEqual(['edge-a Stopped'])
})

describe('a zone of 100 stores that fails', () => {
  test('is one card within 10 s after the hold-down, however spread its silences are, and says when it is over', async () => {
    using it = openZone(100)
    await it.run('alert subscribe', 'operator', OPS)
    it.see(all(100, {}))
    it.pass(10)
    // The agents send their states every 20 s, so the silences are noticed over 20 s.
    const [first = ''] = names(1)
    it.see({ [first]: 'stopped' })
    for (let second = 0; second < 20; second++) {
      it.pass(1)
      it.see(
        Object.fromEntries(
          names(100)
            .slice(second * 5, second * 5 + 5)
            .map((name) => [name, 'stopped' as const]),
        ),
      )
    }
    it.pass(40)
    expect(it.messages()).toHaveLength(1)
    it.pass(20)
    expect(it.messages()).toHaveLength(1)
    const [card] = it.messages()
    expect(card?.view.title).toBe('zone-1: 101 alerts of 100 stores')
    expect(card?.view.fields[0]?.value).toStartWith('100 Stopped; None of 100 stores is healthy (100 Stopped): store-000')
    expect(card?.view.fields[1]?.value).toEndWith('store-019 and 80 more')

    await it.run(card?.view.actions[0]?.command ?? '')
    it.pass(1)
    expect(it.messages()).toHaveLength(1)
    expect(it.messages()[0]?.view.text).toContain('101 open, 101 acknowledged.')
    it.see(all(100, {}))
    it.pass(66)
    expect(titles(it)).toEqual(['zone-1: 101 alerts resolved', 'zone-1: 101 alerts resolved'])
    expect(it.messages()[1]?.threadKey).toBe(it.messages()[0]?.key ?? '-')
  })

  test('within half an hour again is another summary', async () => {
    using it = openZone(6)
    await it.run('alert subscribe', 'operator', OPS)
    for (let i = 0; i < 2; i++) {
      it.see(all(6, 'stopped'))
      it.pass(60)
      it.see(all(6, {}))
      it.pass(200)
    }
    expect(it.messages().filter(({ threadKey }) => threadKey === '')).toHaveLength(2)
  })

  test('is one card for each store below five', async () => {
    using it = openZone(5)
    await it.run('alert subscribe', 'operator', OPS)
    it.see({ ...all(5, {}), ...all(4, 'stopped') })
    it.pass(60)
    expect(titles(it)).toEqual(['store-000 Stopped', 'store-001 Stopped', 'store-002 Stopped', 'store-003 Stopped'])
  })
})

describe('reminders', () => {
  test('come in one message, for what is neither acknowledged nor silenced', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2', 'edge-c': 'zone-3' })
    expect((await it.run('alert subscribe', 'operator', OPS)).fields[1]?.value).toBe('every 4 h, of what nobody acknowledged')
    await it.run('alert subscribe remind=2m', 'operator', OPS)
    it.see({ 'edge-a': 'stopped', 'edge-b': 'stopped', 'edge-c': 'stopped' })
    it.pass(60)
    await it.run('alert ack A1')
    await it.run('alert silence edge-b for=1d')
    it.pass(1)
    const before = it.messages().length
    it.pass(120)
    expect(it.messages()).toHaveLength(before + 1)
    const [reminder] = it.messages().slice(-1)
    expect(reminder?.view.title).toBe('Reminder: 1 alert not acknowledged')
    expect(reminder?.view.fields[0]?.value).toBe('A3 edge-c Stopped, critical, since 2026-01-01 00:00:05 UTC')
    it.pass(100)
    expect(it.messages()).toHaveLength(before + 1)
    it.pass(20)
    expect(it.messages()).toHaveLength(before + 2)
  })

  test('can be switched off', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    await it.run('alert subscribe remind=1m', 'operator', OPS)
    await it.run('alert subscribe remind=off', 'operator', OPS)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    it.pass(200)
    expect(it.messages()).toHaveLength(1)
  })
})

describe('a restart', () => {
  test('tells nothing twice and loses nothing', async () => {
    await using folder = await createTemporaryFolder()
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' }, folder.path)
    await it.run('alert subscribe', 'operator', OPS)
    it.see({ 'edge-a': 'stopped', 'edge-b': {} })
    for (let i = 0; i < 30; i++) {
      it.pass(5)
      it.restart()
      it.see({ 'edge-a': 'stopped', 'edge-b': {} })
    }
    expect(titles(it)).toEqual(['edge-a Stopped'])
    await it.run('alert ack A1')
    it.restart()
    it.see({ 'edge-a': {}, 'edge-b': {} })
    it.pass(65)
    it.restart()
    it.pass(10)
    expect(titles(it)).toEqual(['edge-a Stopped: resolved', 'A1 edge-a Stopped', 'A1 edge-a Stopped'])
  })
})

test('alert subscriptions shows who gets what', async () => {
  using it = openAlertScene({ 'edge-a': 'zone-1' })
  expect((await it.run('alert subscriptions')).text).toBe('No channel gets alerts. In a channel, run alert subscribe.')
  await it.run('alert subscribe zone=zone-1 severity=critical', 'operator', OPS)
  await it.run('alert subscribe thread=off remind=30m', 'operator', OPS)
  const view = await it.run('alert subscriptions')
  expect(view.rows.map(({ cells }) => [cells['what'], cells['thread'], cells['remind']])).toEqual([
    ['alerts from warning on of the whole fleet', 'off', 'every 30 min, of what nobody acknowledged'],
    ['critical alerts of zone zone-1', 'off', 'every 30 min, of what nobody acknowledged'],
  ])
  expect((await it.run('alert unsubscribe zone=zone-1', 'operator', OPS)).text).toStartWith('1 subscription of channel C024BE91L ended.')
  expect((await it.run('alert subscriptions')).rows).toHaveLength(1)
})
