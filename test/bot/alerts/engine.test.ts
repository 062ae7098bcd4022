// From what is seen of stores to incidents: hold-down, recovery, flaps, zones, restarts, stores that move, and the log.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openAlertScene, START_MS } from './scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

describe('a store that stops', () => {
  test('opens an incident after 50 s, since it stopped, and is resolved 60 s after it is back', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': {} })
    it.pass(10)
    it.see({ 'edge-a': 'stopped' })
    it.bot.fleet.registry.silent('edge-a', 'gone', START_MS + 9_000)
    it.pass(49)
    expect(it.open()).toEqual([])
    it.pass(1)
    expect(it.open()).toEqual(['edge-a store-stopped'])
    expect(it.incidents()).toMatchObject([
      { id: 1, zone: 'zone-1', severity: 'critical', finding: 'http://edge-a.example fell silent.', sinceMs: START_MS + 9_000, openedMs: START_MS + 60_000 },
    ])
    it.see({ 'edge-a': {} })
    it.pass(63)
    expect(it.open()).toEqual(['edge-a store-stopped'])
    it.pass(5)
    expect(it.open()).toEqual([])
    expect(it.bot.alerts.incidents.history(1)).toMatchObject([
      { kind: 'opened', text: 'Opened: http://edge-a.example fell silent.', timeMs: START_MS + 60_000 },
      { kind: 'resolved', text: 'Resolved.' },
    ])
  })

  test('and is back before that opens nothing and leaves nothing', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': 'stopped' })
    it.pass(40)
    it.see({ 'edge-a': {} })
    it.pass(90)
    expect(it.incidents()).toEqual([])
    expect(it.bot.database.query('SELECT * FROM alert_findings').all()).toEqual([])
  })

  test('between two observations is seen all the same', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    for (let i = 0; i < 10; i++) {
      it.see({ 'edge-a': 'stopped' })
      it.see({ 'edge-a': {} })
      it.pass(5)
    }
    expect(it.open()).toEqual(['edge-a store-stopped'])
  })

  test('says nothing of its checks: their incidents stay open meanwhile', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': { 'free-space': 'failed' } })
    it.pass(120)
    it.see({ 'edge-a': 'stopped' })
    it.pass(600)
    expect(it.open()).toEqual(['edge-a free-space', 'edge-a store-stopped'])
  })
})

describe('checks', () => {
  test('open one incident each, with the severity of the check and its state', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    it.see({
      'edge-a': { 'free-space': 'failed', 'last-scrub': 'warning', clock: 'failed', tasks: 'warning' },
      'edge-b': { wibble: 'failed', wobble: 'warning' },
    })
    it.pass(115)
    expect(it.open()).toEqual([])
    it.pass(5)
    expect(
      it
        .incidents()
        .map(({ store, condition, severity, finding }) => `${store} ${condition} ${severity}: ${finding}`)
        .toSorted(),
    ).toEqual([
      'edge-a clock warning: clock is failed',
      'edge-a free-space critical: free-space is failed',
      'edge-a last-scrub warning: last-scrub is warning',
      'edge-a tasks info: tasks is warning',
      'edge-b other-check warning: wibble: wibble is failed; wobble: wobble is warning',
    ])
    expect(it.incidents().find(({ condition }) => condition === 'free-space')?.action).toStartWith('Make room: image purge --bin store=edge-a')
  })

  test('that rest on the mount path say nothing while it fails', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': { 'mount-path': 'failed', 'mount-writable': 'failed', 'free-space': 'failed' } })
    it.pass(300)
    expect(it.open()).toEqual(['edge-a mount-path'])
  })

  test('that get worse raise the severity, which then stays, and need a new acknowledgement', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': { 'free-space': 'warning' } })
    it.pass(120)
    expect(it.bot.alerts.incidents.acknowledge(1, 'ann', it.clock.nowMs())).toBe('acknowledged')
    it.see({ 'edge-a': { 'free-space': 'failed' } })
    it.pass(5)
    expect(it.incidents()).toMatchObject([{ severity: 'critical', finding: 'free-space is failed', ackedBy: null }])
    it.see({ 'edge-a': { 'free-space': 'warning' } })
    it.pass(5)
    expect(it.incidents()).toMatchObject([{ severity: 'critical', finding: 'free-space is warning' }])
    expect(it.bot.alerts.incidents.history(1).map(({ text }) => text)).toEqual([
      'Opened: free-space is warning',
      'Acknowledged by ann.',
      'Now critical: free-space is failed',
    ])
  })

  test('of an agent that refuses are not known', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': 'refused' })
    it.pass(50)
    expect(it.incidents()).toMatchObject([{ condition: 'store-error', finding: 'The token is not known here.' }])
  })
})

describe('a finding that comes and goes', () => {
  test('stays one incident, is counted, and has few lines', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    for (let i = 0; i < 20; i++) {
      it.see({ 'edge-a': 'stopped' })
      it.pass(55)
      it.see({ 'edge-a': {} })
      it.pass(30)
    }
    expect(it.incidents()).toMatchObject([{ id: 1, flaps: 19, resolvedMs: null }])
    expect(it.bot.alerts.incidents.history(1).map(({ kind }) => kind)).toEqual(['opened', 'returned', 'returned', 'returned'])
    it.pass(14 * 60)
    expect(it.open()).toEqual(['edge-a store-stopped'])
    it.pass(60)
    expect(it.open()).toEqual([])
  })

  test('within half an hour opens the same incident again, without its acknowledgement; later another one', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    const failFor = (seconds: number): void => {
      it.see({ 'edge-a': 'stopped' })
      it.pass(seconds)
      it.see({ 'edge-a': {} })
    }
    failFor(60)
    it.bot.alerts.incidents.acknowledge(1, 'ann', it.clock.nowMs())
    it.pass(20 * 60)
    expect(it.open()).toEqual([])
    failFor(60)
    expect(it.incidents()).toMatchObject([{ id: 1, flaps: 1, ackedBy: null, resolvedMs: null }])
    it.pass(45 * 60)
    failFor(60)
    expect(it.incidents()).toMatchObject([{ id: 1 }, { id: 2, flaps: 0, resolvedMs: null }])
  })
})

describe('a zone', () => {
  const zone = { 'edge-a': 'zone-1', 'edge-b': 'zone-1', 'edge-c': 'zone-2' }

  test('without a healthy store opens an incident of its own, unless it has one store only', () => {
    using it = openAlertScene(zone)
    it.see({ 'edge-a': 'stopped', 'edge-b': 'refused', 'edge-c': 'stopped' })
    it.pass(50)
    expect(it.open().toSorted()).toEqual(['edge-a store-stopped', 'edge-b store-error', 'edge-c store-stopped', 'zone-1 zone-down'])
    expect(it.incidents().find(({ store }) => store === '')).toMatchObject({
      store: '',
      finding: 'None of 2 stores is healthy (1 Stopped, 1 Error): edge-a, edge-b.',
    })
    it.see({ 'edge-b': { 'free-space': 'failed' } })
    it.pass(60)
    expect(it.open()).not.toContain('zone-1 zone-down')
  })

  test('of which a store was not seen yet is not known', () => {
    using it = openAlertScene(zone)
    it.see({ 'edge-a': 'stopped' })
    it.pass(60)
    expect(it.open()).toEqual(['edge-a store-stopped'])
  })
})

describe('a restart', () => {
  test('continues hold-down and incident, and neither opens nor resolves what was not seen again', async () => {
    await using folder = await createTemporaryFolder()
    using it = openAlertScene({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' }, folder.path)
    it.see({ 'edge-a': 'stopped', 'edge-b': {} })
    it.pass(30)
    it.restart()
    it.pass(600)
    expect(it.open()).toEqual([])
    it.see({ 'edge-a': 'stopped', 'edge-b': {} })
    it.pass(20)
    expect(it.open()).toEqual(['edge-a store-stopped'])
    it.restart()
    it.pass(600)
    expect(it.open()).toEqual(['edge-a store-stopped'])
    expect(it.bot.alerts.incidents.history(1)).toHaveLength(1)
    it.see({ 'edge-a': {} })
    it.pass(60)
    expect(it.open()).toEqual([])
    expect(it.incidents()).toHaveLength(1)
  })
})

describe('a store that changes in the registry', () => {
  test('keeps its incident under another name', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': 'stopped' })
    it.pass(50)
    it.bot.fleet.registry.change('edge-a', { name: 'edge-z' })
    it.see({ 'edge-z': 'stopped' })
    it.pass(60)
    expect(it.open()).toEqual(['edge-z store-stopped'])
    expect(it.incidents()).toHaveLength(1)
  })

  test('and is removed resolves its incident', () => {
    using it = openAlertScene({ 'edge-a': 'zone-1' })
    it.see({ 'edge-a': 'stopped' })
    it.pass(50)
    it.bot.fleet.registry.remove('edge-a')
    it.pass(5)
    expect(it.open()).toEqual([])
    expect(it.bot.alerts.incidents.history(1).at(-1)?.text).toBe('Resolved: The store was removed from the registry.')
    expect(it.bot.database.query('SELECT * FROM alert_findings').all()).toEqual([])
  })
})

describe('the log', () => {
  test('has a line for each change, once, also after a restart', async () => {
    await using folder = await createTemporaryFolder()
    using it = openAlertScene({ 'edge-a': 'zone-1' }, folder.path)
    it.see({ 'edge-a': 'stopped' })
    it.pass(55)
    it.restart()
    it.see({ 'edge-a': {} })
    it.pass(60)
    expect(it.lines).toMatchObject([
      {
        level: 40,
        msg: 'alert',
        alert: 'A1',
        event: 'opened',
        store: 'edge-a',
        zone: 'zone-1',
        condition: 'store-stopped',
        severity: 'critical',
        text: 'Opened: http://edge-a.example fell silent.',
      },
      { level: 30, alert: 'A1', event: 'resolved', text: 'Resolved.' },
    ])
  })
})

test('resolved incidents are deleted after 90 days, and when one store has more than 200', () => {
  using it = openAlertScene({ 'edge-a': 'zone-1' })
  const insert = it.bot.database.query(
    `INSERT INTO alert_incidents (store, zone, condition, severity, finding, impact, action, since_ms, opened_ms, resolved_ms, is_settled)
     VALUES (?, 'zone-1', 'clock', 'warning', '', '', '', 0, 0, ?, 1)`,
  )
  for (let i = 0; i < 210; i++) insert.run('edge-a', START_MS)
  insert.run('edge-b', START_MS - 91 * 86_400_000)
  it.pass(1)
  it.see({ 'edge-a': {} })
  it.pass(5)
  const kept = it.incidents()
  expect(kept).toHaveLength(200)
  expect(kept[0]?.id).toBe(11)
})
