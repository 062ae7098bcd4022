// The bounds of the commands of alerts, and what decides between two readings of a line.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { openAlertScene } from '../../alerts/scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** A store and a zone with an alert each, both critical: the second one has lasted longer. */
function openTwo() {
  const it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'A2' })
  const open = (store: string, zone: string, sinceMs: number) =>
    it.bot.alerts.incidents.open(
      { store, zone, condition: 'store-stopped' },
      { severity: 'critical', finding: 'It fell silent.', impact: 'Nothing is read.', action: 'Look at it.' },
      { sinceMs, nowMs: it.clock.nowMs() },
      false,
    )
  open('edge-a', 'zone-1', it.clock.nowMs() - 1000)
  open('edge-b', 'A2', it.clock.nowMs() - 2000)
  return it
}

describe('alert list', () => {
  test('shows the one that lasts longest first among equals', async () => {
    using it = openTwo()
    expect((await it.run('alert list')).rows.map(({ cells }) => cells['id'])).toEqual(['A2', 'A1'])
  })

  test('shows 100 of 10,000 unless a limit is given', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.bot.database.run(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
       INSERT INTO alert_incidents (store, zone, condition, severity, finding, impact, action, since_ms, opened_ms)
       SELECT '', 'zone-' || i, 'zone-down', 'critical', 'All stores fell silent.', '', '', 0, 0 FROM n`,
    )
    const view = await it.run('alert list')
    expect([view.rows.length, view.json]).toMatchObject([100, { total: 10_000 }])
  })
})

test('alert show has the tone of the severity until the alert is resolved, and names the store', async () => {
  using it = openTwo()
  expect(await it.run('alert show A1')).toMatchObject({ tone: 'bad', json: { store: 'edge-a' } })
  it.bot.alerts.incidents.resolve({ store: 'edge-a', zone: 'zone-1', condition: 'store-stopped' }, it.clock.nowMs(), 'It answers.', false)
  expect((await it.run('alert show A1')).tone).toBe('good')
})

test('the answer to alert ack is for the person alone: the card tells everyone', async () => {
  using it = openTwo()
  expect((await it.run('alert ack A1')).isPrivate).toBe(true)
})

describe('alert silence', () => {
  test('takes a reason of 200 characters, and none of 201', async () => {
    using it = openTwo()
    expect((await it.run(`alert silence edge-a reason=${'x'.repeat(200)}`)).outcome).toBe('done')
    expect((await it.run(`alert silence edge-a reason=${'x'.repeat(201)}`)).text).toBe('reason= is longer than 200 characters.')
  })

  test('of a word that is both a zone and the number of an alert is of the zone', async () => {
    using it = openTwo()
    expect((await it.run('alert silence A2')).title).toBe('zone A2 silenced')
  })

  test('refuses a zone without a store', async () => {
    using it = openTwo()
    expect((await it.run('alert silence zone=nowhere')).text).toBe('No store is in zone "nowhere".')
  })

  test('of a zone is not ended by an operator of one of its stores', async () => {
    using it = openTwo()
    await it.run('alert silence zone=zone-1')
    const roleIn = ({ name }: { readonly name: string }) => (name === 'edge-a' ? ('operator' as const) : ('viewer' as const))
    expect((await it.run('alert unsilence zone-1', 'viewer', undefined, roleIn)).text).toBe('This needs the role operator in zone zone-1; ann has viewer.')
    expect((await it.run('alert silences')).rows).toHaveLength(1)
  })

  test('has buttons to end the first five', async () => {
    using it = openAlertScene(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [`edge-${name}`, 'zone-1'])))
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await it.run(`alert silence edge-${name}`)
    const { rows, actions } = await it.run('alert silences')
    expect([rows.length, actions.length]).toEqual([6, 5])
  })
})

describe('alert subscribe', () => {
  test.each([
    ['remind=59s', 'remind=59s is not a duration from 1m to 7d.'],
    ['remind=1m', 'alerts from warning on of the whole fleet'],
    ['remind=7d', 'alerts from warning on of the whole fleet'],
    ['remind=604801s', 'remind=604801s is not a duration from 1m to 7d.'],
    ['store=edge-a zone=zone-1', 'A subscription is for a zone or for a store.'],
  ])('%s: %s', async (options, text) => {
    using it = openTwo()
    expect((await it.run(`alert subscribe channel=C024BE91L ${options}`)).text).toStartWith(text)
  })

  test('is for the channel in which it was asked', async () => {
    using it = openTwo()
    expect((await it.run('alert subscribe', 'admin', 'C024BE91L')).text).toContain('to channel C024BE91L.')
  })

  test('says in Slack that the bot must be a member of the channel', async () => {
    using it = openTwo()
    const notes = async (surface: 'slack' | 'console') =>
      (await runLine(it.bot.context({ name: 'ann', role: 'admin' }, surface), 'alert subscribe channel=C024BE91L severity=critical')).notes
    expect(await notes('slack')).toEqual(['The bot must be a member of the channel: /invite it there.'])
    expect(await notes('console')).toEqual([])
  })
})

test('alert unsubscribe of a store or a zone keeps the other subscriptions of the channel', async () => {
  using it = openTwo()
  for (const place of ['', 'store=edge-a', 'zone=zone-1']) await it.run(`alert subscribe channel=C024BE91L ${place}`)
  expect((await it.run('alert unsubscribe channel=C024BE91L store=edge-a')).json).toMatchObject({ ended: 1 })
  expect((await it.run('alert unsubscribe channel=C024BE91L zone=zone-1')).json).toMatchObject({ ended: 1 })
  expect((await it.run('alert unsubscribe channel=C024BE91L')).json).toMatchObject({ ended: 1 })
})
