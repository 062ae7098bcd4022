// The home tab through the fake Slack, in Socket Mode and over HTTP: who sees what, what a press does, and that a repeated event counts once.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connectSlack } from '../../../../bot/slack/connect.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { createLog } from '../../../../bot/system/log.ts'
import { createFakeSlack } from '../../../support/clients/fake-slack/fake-slack.ts'
import type { FakeSlack } from '../../../support/clients/fake-slack/fake-slack.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import type { Shown } from '../../../support/clients/fake-slack/shown.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { openTestBot } from '../../fixture.ts'
import { ADMIN, startSlackBot } from '../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }

/** Opens the home of a person and returns the next one that is published for the person. */
async function openHome(slack: FakeSlack, user: string): Promise<Shown> {
  const before = homes(slack, user).length
  await slack.openHome({ user })
  return until(`the home of ${user}`, () => homes(slack, user)[before])
}

function homes(slack: FakeSlack, user: string): Shown[] {
  return slack.shown.filter(({ kind, channel }) => kind === 'home' && channel === user)
}

function labels({ blocks }: Shown): string[] {
  return blocks.flatMap((block) => (block['type'] === 'actions' ? (block['elements'] as { text: { text: string } }[]).map(({ text }) => text.text) : []))
}

/** Waits until the newest state of a window contains a text. */
function modalWith(slack: FakeSlack, text: string): Promise<Shown> {
  return until(`a window with ${text}`, () => {
    const last = slack.shown.findLast(({ kind }) => kind === 'modal')
    return last && visibleText(last).includes(text) ? last : undefined
  })
}

describe('the home', () => {
  test('of an admin shows the fleet and the commands of an admin', async () => {
    await using it = await startSlackBot()
    const home = await openHome(it.slack, ADMIN.user)
    expect(visibleText(home)).toContain('All stores are well')
    expect(visibleText(home)).toContain('1 store: 1 Running.')
    expect(visibleText(home)).toMatch(/as of .* · you are admin/)
    expect(labels(home)).toEqual(expect.arrayContaining(['Health', 'Stores', 'Images', 'Alerts', 'Tasks', 'Add a store', 'Roles', 'Audit', 'Help', 'Refresh']))
    expect(it.slack.failures).toEqual([])
  })

  test('of a viewer has no command that a viewer may not run', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UVIEW', role: 'viewer' }, 'test', 0)
    const shown = labels(await openHome(it.slack, 'UVIEW'))
    expect(shown).toContain('Health')
    expect(shown.filter((label) => ['Add a store', 'Audit'].includes(label))).toEqual([])
  })

  test('of somebody without a role names no store, and says how to get a role', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'admin' }, 'test', 0)
    const text = visibleText(await openHome(it.slack, 'UNOONE'))
    expect(text).toContain('You have no role yet')
    expect(text).toContain('/slipway role grant viewer user=UNOONE')
    expect(text).not.toContain('edge-a')
    it.bot.roles.grant({ ...ANY, subject: 'user:UCHAN', role: 'operator', channel: 'C9' }, 'test', 0)
    expect(visibleText(await openHome(it.slack, 'UCHAN'))).toContain('Your role counts in some channels only')
    // The next step works as it is written.
    await it.slack.command('/slipway', 'role grant viewer user=UNOONE', ADMIN)
    await until('the role', () => it.bot.roles.list().some(({ subject }) => subject === 'user:UNOONE'))
    expect(visibleText(await openHome(it.slack, 'UNOONE'))).toContain('1 store: 1 Running.')
  })

  test('of somebody with a role in a zone shows the stores of this zone alone', async () => {
    await using it = await startSlackBot()
    it.bot.fleet.registry.add({ name: 'far-b', url: it.agent.url, token: 'x', zone: 'zone-2', provider: 'local', storeId: null }, 0)
    it.bot.roles.grant({ ...ANY, subject: 'user:UZONE', role: 'operator', zone: 'zone-2' }, 'test', 0)
    const home = await openHome(it.slack, 'UZONE')
    expect(visibleText(home)).toContain('far-b')
    expect(visibleText(home)).not.toContain('edge-a')
    expect(visibleText(home)).toContain('your roles: operator zone zone-2')
    expect(labels(home)).toContain('Reconnect far-b')
    it.bot.roles.grant({ ...ANY, subject: 'user:ULOOK', role: 'viewer', zone: 'zone-2' }, 'test', 0)
    expect(labels(await openHome(it.slack, 'ULOOK'))).not.toContain('Reconnect far-b')
  })

  test('is opened by its tab only', async () => {
    await using it = await startSlackBot()
    await it.slack.openHome({ user: ADMIN.user, tab: 'messages' })
    await openHome(it.slack, ADMIN.user)
    expect(homes(it.slack, ADMIN.user)).toHaveLength(1)
  })
})

describe('a press in the home', () => {
  test('of a read is answered in a window, whose buttons go on in it, and publishes the home again', async () => {
    await using it = await startSlackBot()
    const home = await openHome(it.slack, ADMIN.user)
    await it.slack.press(home, 'Stores', ADMIN)
    const window = await modalWith(it.slack, 'edge-a')
    await until('the home is published again', () => homes(it.slack, ADMIN.user).length === 2)
    await it.agent[Symbol.asyncDispose]()
    const stopped = await openHome(it.slack, ADMIN.user)
    expect(visibleText(stopped)).toContain('1 of 1 store needs attention')
    await it.slack.press(stopped, 'Health of edge-a', ADMIN)
    const health = await modalWith(it.slack, 'Health of edge-a')
    await it.slack.press(health, 'Reconnect edge-a', ADMIN)
    expect((await modalWith(it.slack, 'cannot be reached')).ts).toBe(health.ts)
    expect(health.ts).not.toBe(window.ts)
    expect(it.slack.failures).toEqual([])
  })

  test('of a write without a task is answered there, and not by a card', async () => {
    await using it = await startSlackBot()
    const opened = { severity: 'critical', finding: 'f', impact: 'i', action: 'a' } as const
    it.bot.alerts.incidents.open({ store: 'edge-a', zone: 'zone-1', condition: 'free-space' }, opened, { sinceMs: 0, nowMs: systemClock.nowMs() }, false)
    const home = await openHome(it.slack, 'UOPER')
    expect(visibleText(home)).toContain('1 alert in force')
    await it.slack.press(home, 'Acknowledge', { user: 'UOPER' })
    await modalWith(it.slack, 'A1')
    await until('the home is published again', () => visibleText(homes(it.slack, 'UOPER').at(-1) ?? home).includes('Acknowledged by name-UOPER (UOPER)'))
    expect(labels(homes(it.slack, 'UOPER').at(-1) ?? home)).not.toContain('Acknowledge')
    expect(it.slack.shown.filter(({ kind }) => kind === 'post')).toEqual([])
    // The button was single-use.
    await it.slack.press(home, 'Acknowledge', { user: 'UOPER' })
    await modalWith(it.slack, 'was used already')
    expect(it.slack.failures).toEqual([])
  })

  test('checks the role again', async () => {
    await using it = await startSlackBot()
    const grant = { ...ANY, subject: 'user:UADA', role: 'admin' as const }
    it.bot.roles.grant(grant, 'test', 0)
    const home = await openHome(it.slack, 'UADA')
    it.bot.roles.revoke(grant)
    await it.slack.press(home, 'Audit', { user: 'UADA' })
    await modalWith(it.slack, 'you have viewer')
    await until('the home hides the fleet', () => visibleText(homes(it.slack, 'UADA').at(-1) ?? home).includes('You have no role yet'))
  })

  test('of Refresh publishes it again and opens no window', async () => {
    await using it = await startSlackBot()
    const home = await openHome(it.slack, ADMIN.user)
    await it.slack.press(home, 'Refresh', ADMIN)
    await until('the home is published again', () => homes(it.slack, ADMIN.user).length === 2)
    expect(it.slack.shown.filter(({ kind }) => kind === 'modal')).toEqual([])
    // Its buttons are the same, so that they displace no others.
    const count = it.bot.database.query<{ n: number }, []>('SELECT count(*) AS n FROM buttons').get()?.n
    await it.slack.press(home, 'Refresh', ADMIN)
    await until('the home is published again', () => homes(it.slack, ADMIN.user).length === 3)
    expect(it.bot.database.query<{ n: number }, []>('SELECT count(*) AS n FROM buttons').get()?.n).toBe(count)
  })
})

describe('an event that Slack repeats', () => {
  test('over Socket Mode publishes one home', async () => {
    await using it = await startSlackBot()
    const { eventId } = await it.slack.openHome({ user: ADMIN.user })
    await until('the home', () => homes(it.slack, ADMIN.user).length === 1)
    await it.slack.openHome({ user: ADMIN.user, repeat: { eventId, number: 1 } })
    await openHome(it.slack, 'UOPER')
    expect(homes(it.slack, ADMIN.user)).toHaveLength(1)
  })

  test('over HTTP publishes one home, though it is signed again', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = stack.use(await createTemporaryFolder())
    const bot = stack.use(openTestBot(folder.path, systemClock, { operators: new Set(), admins: new Set(['UADMIN', 'UOPER']) }))
    let url: string | undefined
    const slack = stack.use(createFakeSlack({ deliverTo: () => url ?? '', signingSecret: 'secret' }))
    const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
    const access = { kind: 'http' as const, signingSecret: 'secret', botToken: 'xoxb-fake', hostname: '127.0.0.1', port: 0 }
    const connection = stack.use(await connectSlack(access, { bot, config: { slackApiUrl: slack.apiUrl }, log }))
    url = connection.url
    const first = await slack.openHome({ user: 'UADMIN' })
    expect(first.status).toBe(200)
    await until('the home', () => homes(slack, 'UADMIN').length === 1)
    expect((await slack.openHome({ user: 'UADMIN', repeat: { eventId: first.eventId, number: 1 } })).status).toBe(200)
    await openHome(slack, 'UOPER')
    expect(homes(slack, 'UADMIN')).toHaveLength(1)
    expect(slack.failures).toEqual([])
  })
})
