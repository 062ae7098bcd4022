// The commands of alerts: what they show of incidents, acknowledgements, silences and maintenance, and who may run them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openAlertScene, START_MS } from '../../alerts/scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const HOUR_MS = 3_600_000

/** Two open alerts of edge-a and one of edge-b. */
function openFailing() {
  const it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
  it.see({ 'edge-a': { 'free-space': 'failed', 'last-scrub': 'warning' }, 'edge-b': 'stopped' })
  it.pass(120)
  return it
}

describe('alert list', () => {
  test('shows the most severe first, and filters', async () => {
    using it = openFailing()
    const view = await it.run('alert list')
    expect(view.text).toBe('3 open alerts: 2 critical, 1 warning.')
    expect(view.rows.map(({ cells }) => [cells['id'], cells['what'], cells['state']])).toEqual([
      ['A1', 'edge-b Stopped', 'Open'],
      ['A2', 'edge-a: free space', 'Open'],
      ['A3', 'edge-a: scrub', 'Open'],
    ])
    expect(view.notes).toEqual(['The service of the bot is not running: alerts are as it left them, and no new ones are found.'])
    expect((await it.run('alert list store=edge-a')).rows).toHaveLength(2)
    expect((await it.run('alert list zone=zone-2')).rows).toHaveLength(1)
    expect((await it.run('alert list severity=critical limit=1')).text).toBe('2 open alerts: 2 critical. The most severe 1 are shown.')
    it.see({ 'edge-b': {} })
    it.pass(65)
    expect((await it.run('alert')).rows).toHaveLength(2)
    expect((await it.run('alert list --resolved')).rows.map(({ cells }) => cells['id'])).toEqual(['A3', 'A2', 'A1'])
  })

  test.each([
    ['limit=0', 'limit=0'],
    ['limit=1', undefined],
    ['limit=1000', undefined],
    ['limit=1001', 'limit=1001'],
  ])('%s is refused: %p', async (option, refused) => {
    using it = openFailing()
    const { outcome, text } = await it.run(`alert list ${option}`)
    expect([outcome, refused === undefined || text.startsWith(refused)]).toEqual([refused === undefined ? 'done' : 'failed', true])
  })

  test('has buttons for the first three open alerts, and its tone is good only when none is shown', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-1' })
    const failing = { 'free-space': 'failed', 'last-scrub': 'warning' } as const
    it.see({ 'edge-a': failing, 'edge-b': failing })
    it.pass(120)
    const open = await it.run('alert list')
    expect([open.rows.length, open.actions.map(({ label }) => label), open.tone]).toEqual([4, ['Show A1', 'Show A3', 'Show A2'], 'plain'])
    it.see({ 'edge-a': {}, 'edge-b': {} })
    it.pass(125)
    const resolved = await it.run('alert list --resolved')
    expect([resolved.rows.length, resolved.actions, resolved.rows[0]?.tone]).toEqual([4, [], 'plain'])
    expect((await it.run('alert list')).tone).toBe('good')
  })

  test('says that nothing is open', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    expect((await it.run('alert list')).text).toBe('No open alerts.')
  })
})

test('alert show has finding, impact, next step and history', async () => {
  using it = openFailing()
  const view = await it.run('alert show a3')
  expect(view.title).toBe('A3 edge-a: scrub')
  expect(view.fields.map(({ label, value }) => `${label}: ${value}`)).toEqual([
    'Finding: last-scrub is warning',
    'Impact: Impact of last-scrub.',
    'Next: Action for last-scrub.',
    'Meaning: The last scrub found damage; as a warning, it is too old.',
    'Zone: zone-1',
  ])
  expect(view.rows.map(({ cells }) => cells['what'])).toEqual(['Opened: last-scrub is warning'])
  expect(view.actions.map(({ command }) => command)).toEqual(['alert ack A3', 'alert silence edge-a check=last-scrub for=2h', 'store health edge-a'])
})

describe('alert ack', () => {
  test('says who takes care, once', async () => {
    using it = openFailing()
    expect(await it.run('alert ack A1 2')).toMatchObject({ outcome: 'done', title: '2 alerts acknowledged' })
    expect((await it.run('alert list')).rows.map(({ cells }) => cells['state'])).toEqual(['Acknowledged by ann', 'Acknowledged by ann', 'Open'])
    expect(await it.run('alert ack A1')).toMatchObject({ outcome: 'failed', text: 'A1 was acknowledged by ann already.' })
    expect((await it.run('alert ack A1 A3')).notes).toEqual(['1 alert had been acknowledged already, or resolved.'])
    it.see({ 'edge-b': {} })
    it.pass(65)
    expect((await it.run('alert ack A1')).text).toBe('A1 is resolved.')
    expect(await it.run('alert ack A1 A3')).toMatchObject({ outcome: 'done', title: '0 alerts acknowledged' })
  })

  test('is not for viewers', async () => {
    using it = openFailing()
    expect(await it.run('alert ack A1', 'viewer')).toMatchObject({ outcome: 'refused' })
    expect(await it.run('alert silence edge-a', 'uploader')).toMatchObject({ outcome: 'refused' })
  })
})

describe('alert silence', () => {
  test.each<[options: string, text: string]>([
    ['for=59s', 'for=59s is not a duration from 1m to 30d.'],
    ['for=1m', 'No alerts until 2026-01-01 00:03:00 UTC (1 min).'],
    ['', 'No alerts until 2026-01-01 02:02:00 UTC (2 h).'],
    ['for=30d', 'No alerts until 2026-01-31 00:02:00 UTC (30 d).'],
    ['for=2592001s', 'for=2592001s is not a duration from 1m to 30d.'],
    ['for=soon', 'for=soon is not a duration from 1m to 30d.'],
    ['zone=zone-1', 'alert silence takes either a store or zone=.'],
  ])('edge-a %s: %s', async (options, text) => {
    using it = openFailing()
    expect((await it.run(`alert silence edge-a ${options}`)).text).toStartWith(text)
  })

  test('needs a store, and one check is of one store', async () => {
    using it = openFailing()
    expect((await it.run('alert silence')).fields[0]?.value).toBe('Name the store, or a zone with zone=.')
    expect((await it.run('alert silence zone-1 check=free-space')).text).toBe('check= is for one store.')
    expect((await it.run('alert silence EDGE-A check=free-space')).title).toBe('edge-a free-space silenced')
    expect((await it.run('alert silences')).rows).toHaveLength(1)
  })

  test('of one check covers it until the time is over, and survives a finding that comes and goes', async () => {
    using it = openFailing()
    const silence = await it.run('alert silence edge-a check=free-space for=10m reason="new disks"')
    expect(silence.title).toBe('edge-a free-space silenced')
    const state = async (id: string): Promise<string | undefined> =>
      (await it.run('alert list --resolved')).rows.find(({ cells }) => cells['id'] === id)?.cells['state']
    expect(await state('A2')).toBe('Open, silenced until 2026-01-01 00:12:00 UTC by ann (new disks)')
    expect(await state('A3')).toBe('Open')
    it.see({ 'edge-a': {} })
    it.pass(125)
    it.see({ 'edge-a': { 'free-space': 'failed' } })
    it.pass(125)
    expect(await state('A2')).toBe('Open, came back 1 time, silenced until 2026-01-01 00:12:00 UTC by ann (new disks)')
    expect((await it.run('alert silences')).rows.map(({ cells }) => [cells['target'], cells['by'], cells['reason']])).toEqual([
      ['edge-a free-space', 'ann', 'new disks'],
    ])
    // The log says nothing of what is silenced.
    expect(it.lines.filter(({ alert, event }) => alert === 'A2' && event === 'returned')).toEqual([])
    it.pass(600)
    expect(await state('A2')).toBe('Open, came back 1 time')
    expect((await it.run('alert silences')).text).toBe('Nothing is silenced.')
  })

  test('of a zone covers its stores, and replaces an earlier one of the same target', async () => {
    using it = openFailing()
    await it.run('alert silence zone-1 for=1h')
    await it.run('alert silence zone=zone-1 for=3h')
    expect((await it.run('alert silences')).json).toMatchObject({ items: [{ zone: 'zone-1', store: null, until: '2026-01-01T03:02:00.000Z' }] })
    expect((await it.run('alert list zone=zone-1')).rows.every(({ cells }) => cells['state']?.includes('silenced'))).toBeTrue()
    expect((await it.run('alert unsilence zone-1')).title).toBe('zone zone-1: silence ended')
    expect((await it.run('alert list')).rows.some(({ cells }) => cells['state'] !== 'Open')).toBeFalse()
  })

  test('of an alert is of its store and check', async () => {
    using it = openFailing()
    expect((await it.run('alert silence A2 for=1h')).title).toBe('edge-a free-space silenced')
    expect((await it.run('alert silence A99')).text).toBe('No store is called "A99".')
    it.bot.fleet.registry.change('edge-b', { name: 'a2' })
    expect((await it.run('alert silence A2')).title).toBe('a2 silenced')
  })

  test('of a store goes with it to another name, and ends with it', async () => {
    using it = openFailing()
    await it.run('alert silence edge-a')
    it.bot.fleet.registry.change('edge-a', { name: 'edge-z' })
    expect((await it.run('alert silences')).rows.map(({ cells }) => cells['target'])).toEqual(['edge-z'])
    it.bot.fleet.registry.remove('edge-z')
    expect((await it.run('alert silences')).rows).toEqual([])
  })
})

test('alerts of a store in maintenance are recorded and marked, and its zone counts without it', async () => {
  using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-1', 'edge-c': 'zone-1' })
  it.bot.fleet.registry.change('edge-a', { maintenance: { untilMs: START_MS + HOUR_MS, reason: 'new disks', by: 'ann' } })
  it.see({ 'edge-a': 'stopped', 'edge-b': {}, 'edge-c': {} })
  it.pass(60)
  expect((await it.run('alert list')).rows.map(({ cells }) => cells['state'])).toEqual(['Open, in maintenance until 2026-01-01 01:00:00 UTC by ann'])
  expect(it.lines).toEqual([])
  it.see({ 'edge-a': {}, 'edge-b': 'stopped', 'edge-c': 'stopped' })
  it.pass(60)
  expect(it.open()).toContain('zone-1 zone-down')
})

describe('somebody who is an operator in one store', () => {
  const roleIn = ({ name }: { readonly name: string }) => (name === 'edge-a' ? ('operator' as const) : ('viewer' as const))

  test('acknowledges and silences alerts of this store, and neither those of another one nor of the zone', async () => {
    using it = openFailing()
    const run = (line: string) => it.run(line, 'viewer', undefined, roleIn)
    expect(await run('alert ack A2')).toMatchObject({ outcome: 'done' })
    expect(await run('alert ack A1')).toMatchObject({ outcome: 'failed', text: 'alert ack needs the role operator in edge-b; ann has viewer.' })
    expect(await run('alert silence edge-a')).toMatchObject({ outcome: 'done' })
    expect(await run('alert silence edge-b')).toMatchObject({ outcome: 'refused' })
    expect(await run('alert silence zone=zone-1')).toMatchObject({ outcome: 'failed', text: 'This needs the role operator in zone zone-1; ann has viewer.' })
    await it.run('alert silence edge-b')
    expect(await run('alert unsilence edge-b')).toMatchObject({ outcome: 'failed' })
    expect(await run('alert unsilence edge-a')).toMatchObject({ outcome: 'done' })
  })

  test('does not acknowledge an alert of the whole zone; an operator of the zone does', async () => {
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-1', 'edge-c': 'zone-1' })
    it.see({ 'edge-a': 'stopped', 'edge-b': 'stopped', 'edge-c': 'stopped' })
    it.pass(60)
    const down = it.bot.alerts.incidents.list({ limit: 10 }).find(({ store }) => store === '')
    expect([down?.zone, down?.condition]).toEqual(['zone-1', 'zone-down'])
    const line = `alert ack A${down?.id}`
    expect(await it.run(line, 'viewer', undefined, roleIn)).toMatchObject({
      outcome: 'failed',
      text: 'This needs the role operator in zone zone-1; ann has viewer.',
    })
    expect(it.bot.alerts.incidents.find(down?.id ?? 0)?.ackedBy).toBeNull()
    expect(await it.run(line, 'viewer', undefined, () => 'operator')).toMatchObject({ outcome: 'done' })
    expect(it.bot.alerts.incidents.find(down?.id ?? 0)?.ackedBy).toBe('ann')
  })
})
