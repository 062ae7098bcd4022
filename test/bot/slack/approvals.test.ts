// The approval of a second person in Slack: who may decide, once, until when, for which plan, and in whose name it then runs.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import { APPROVAL_LIFE_MS } from '../../../bot/approvals/approvals.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import type { FakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { Shown } from '../../support/clients/fake-slack/shown.ts'
import { until } from '../../support/until.ts'
import { runCommand } from '../fixture.ts'
import { ADMIN, startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const OTHER = { user: 'UBOB' }
type SlackBot = Awaited<ReturnType<typeof startSlackBot>>

/** Waits for something that was shown with these words. */
function shown(slack: FakeSlack, words: string, kind?: Shown['kind']): Promise<Shown> {
  return until(words, () => slack.shown.findLast((one) => (kind === undefined || one.kind === kind) && visibleText(one).includes(words)))
}

/** Starts a bot with two admins; one of them has asked to delete `edge-a`, and typed its name. Returns the card of the request. */
async function requested(it: SlackBot, asker = ADMIN): Promise<Shown> {
  if (!it.bot.roles.list().some(({ subject }) => subject === 'user:UBOB')) it.bot.roles.grant({ ...ANY, subject: 'user:UBOB', role: 'admin' }, 'test', 0)
  await it.slack.command('/slipway', 'store delete edge-a', asker)
  const modal = await shown(it.slack, 'Type edge-a', 'modal')
  await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, asker)
  return shown(it.slack, 'Waiting for approval: Delete edge-a', 'post')
}
const isThere = (it: SlackBot): boolean => it.bot.fleet.registry.find('edge-a') !== undefined
const stateOf = (it: SlackBot, id = 1): string | undefined => it.bot.approvals.find(id)?.state

test('a store is removed once somebody else has approved it, in the name of the person who asked', async () => {
  await using it = await startSlackBot({}, 'on')
  const card = await requested(it)
  expect(visibleText(card)).toContain('Somebody else with the role admin must approve it until')
  expect(visibleText(card)).toContain('Held by edge-a')
  expect(visibleText(await shown(it.slack, 'A second person must approve this'))).toContain('Request 1 waits until')
  expect(isThere(it)).toBe(true)
  await it.slack.press(card, 'Approve', OTHER)
  const done = await shown(it.slack, 'Done: Delete edge-a', 'update')
  expect(visibleText(done)).toContain('name-UBOB (UBOB)')
  expect(isThere(it)).toBe(false)
  expect(it.bot.audit.list({ limit: 3, command: 'store delete', outcome: 'done' })).toMatchObject([
    { actor: 'name-UADMIN (UADMIN), approved by name-UBOB (UBOB)', via: 'approval', surface: 'slack', outcome: 'done' },
  ])
  expect(it.bot.audit.list({ limit: 3, command: 'approval approve' })).toMatchObject([{ actor: 'name-UBOB (UBOB)', target: '1', outcome: 'done' }])
  expect(it.slack.failures).toEqual([])
})

describe('the wrong person', () => {
  test.each<[who: string, user: string, prepare: (it: SlackBot) => void, words: string]>([
    ['the requester', 'UADMIN', () => {}, 'Request 1 is your own: somebody else must decide on it.'],
    ['a viewer', 'UEVE', () => {}, 'This button needs the role admin; you have viewer.'],
    ['an operator', 'UOPER', () => {}, 'This button needs the role admin; you have operator.'],
    [
      'an admin of the zone only',
      'UZONE',
      (it) => it.bot.roles.grant({ ...ANY, subject: 'user:UZONE', role: 'admin', zone: 'zone-1' }, 'test', 0),
      'To approve store delete needs the role admin in the fleet; name-UZONE (UZONE) has viewer.',
    ],
    [
      'an admin of another zone',
      'UZONE',
      (it) => it.bot.roles.grant({ ...ANY, subject: 'user:UZONE', role: 'admin', zone: 'zone-2' }, 'test', 0),
      'This button needs the role admin; you have viewer.',
    ],
    [
      'somebody who is no admin any more',
      'UZONE',
      (it) => {
        it.bot.roles.grant({ ...ANY, subject: 'user:UZONE', role: 'admin' }, 'test', 0)
        it.bot.roles.revoke({ ...ANY, subject: 'user:UZONE' })
      },
      'This button needs the role admin; you have viewer.',
    ],
  ])('%s does not approve, and leaves the button to others', async (_who, user, prepare, words) => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    prepare(it)
    await it.slack.press(card, 'Approve', { user })
    await shown(it.slack, words)
    expect([isThere(it), stateOf(it)]).toEqual([true, 'waiting'])
    await it.slack.press(card, 'Approve', OTHER)
    await until('it ran', () => stateOf(it) === 'done')
    expect(isThere(it)).toBe(false)
  })

  test('does not cancel the request of somebody else, and does not deny their own', async () => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    await it.slack.press(card, 'Cancel', OTHER)
    await shown(it.slack, 'Request 1 is of name-UADMIN (UADMIN): only they can cancel it.')
    await it.slack.press(card, 'Deny', ADMIN)
    await shown(it.slack, 'Request 1 is your own')
    expect(stateOf(it)).toBe('waiting')
    await it.slack.press(card, 'Cancel', ADMIN)
    await shown(it.slack, 'Cancelled: Delete edge-a', 'update')
    expect([isThere(it), stateOf(it)]).toEqual([true, 'cancelled'])
  })
})

describe('a decision', () => {
  test('that denies tells the reason, and nothing runs', async () => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    await it.slack.command('/slipway', 'approval deny 1 reason="not tonight"', OTHER)
    expect(visibleText(await shown(it.slack, 'Denied: Delete edge-a', 'update'))).toContain('denied it: not tonight. Nothing was changed.')
    await it.slack.press(card, 'Approve', OTHER)
    await shown(it.slack, 'Request 1 was decided already: denied, by name-UBOB (UBOB).')
    expect(isThere(it)).toBe(true)
  })

  test('counts once, however often and by how many it is pressed', async () => {
    await using it = await startSlackBot({}, 'on')
    it.bot.roles.grant({ ...ANY, subject: 'user:UCAT', role: 'admin' }, 'test', 0)
    const card = await requested(it)
    await Promise.all(['UBOB', 'UCAT', 'UBOB', 'UCAT'].map((user) => it.slack.press(card, 'Approve', { user })))
    await until('it ran', () => stateOf(it) === 'done')
    await until('the others are told', () => it.slack.shown.filter((one) => visibleText(one).includes('Request 1 was decided already')).length === 3)
    expect(it.bot.audit.list({ limit: 10, command: 'store delete', outcome: 'done' })).toHaveLength(1)
    expect(it.bot.audit.list({ limit: 10, command: 'approval approve', outcome: 'done' })).toHaveLength(1)
  })

  test('after the request expired is refused; the card says that it expired', async () => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    it.bot.database.run(`UPDATE approvals SET expires_ms = expires_ms - ${APPROVAL_LIFE_MS}`)
    await shown(it.slack, 'Expired, not run: Delete edge-a', 'update')
    await it.slack.press(card, 'Approve', OTHER)
    await shown(it.slack, 'Request 1 has expired.')
    expect(isThere(it)).toBe(true)
    expect(it.bot.audit.list({ limit: 1, target: 'approval 1' })).toMatchObject([{ outcome: 'refused', surface: 'service' }])
  })

  test('may be made in the console, by its number', async () => {
    await using it = await startSlackBot({}, 'on')
    await requested(it)
    const { code, output } = await runCommand(it.bot, 'approval', 'approve', '1')
    expect([code, output]).toEqual([0, expect.stringContaining('Approved, starts now: Delete edge-a')])
    await until('it ran', () => stateOf(it) === 'done')
    expect(it.bot.audit.list({ limit: 3, command: 'store delete', outcome: 'done' })).toMatchObject([{ actor: 'name-UADMIN (UADMIN), approved by tester' }])
  })
})

describe('a plan', () => {
  test('that changed after it was requested is not run, and says what changed', async () => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
    await until('a task', () => it.agent.tasks.size === 1)
    it.bot.fleet.registry.add({ name: 'edge-b', url: it.agent.url, token: it.agent.token, zone: 'zone-1', provider: 'local', storeId: null }, 0)
    await it.slack.press(card, 'Approve', OTHER)
    const end = await until('the end', () =>
      it.slack.shown.findLast((one) => one.kind === 'update' && /^(?:Failed|Not run)/.test(visibleText(one).replaceAll(/^\W+/g, ''))),
    )
    expect(visibleText(end)).toContain('Tasks in edge-a')
    expect([isThere(it), stateOf(it)]).toEqual([true, 'failed'])
  })

  test('that promises another figure asks again, with the difference', async () => {
    await using it = await startSlackBot({}, 'on')
    const card = await requested(it)
    const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
    const known = { id: 'img_00000000000000000000000001', name: 'late', kind: 'system', format: 'raw', status: 'available', source } as const
    it.agent.images.push(blankImage({ ...known, length: 600_000, virtualSize: 600_000 }, 0))
    await it.slack.press(card, 'Approve', OTHER)
    const changed = await shown(it.slack, 'Not run: the plan has changed: Delete edge-a', 'update')
    expect(visibleText(changed)).toContain('Held by edge-a: 1 image, 600 kB long; they stay on its disk, it was no image.')
    expect([isThere(it), stateOf(it)]).toEqual([true, 'changed'])
    await it.slack.press(changed, 'Type the name…', ADMIN)
    const modal = await until('the new question', () => it.slack.shown.filter((one) => one.kind === 'modal' && visibleText(one).includes('Type edge-a'))[1])
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    await until('a second request', () => stateOf(it, 2) === 'waiting')
  })

  test('that waits already is not requested twice', async () => {
    await using it = await startSlackBot({}, 'on')
    await requested(it)
    await it.slack.command('/slipway', 'store delete edge-a --confirm edge-a', ADMIN)
    await shown(it.slack, 'The same request waits already. ')
    expect(it.bot.approvals.list(true)).toHaveLength(1)
  })
})

test('a requester who lost the role gets nothing run in their name', async () => {
  await using it = await startSlackBot({}, 'on')
  it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'admin' }, 'test', 0)
  const card = await requested(it, { user: 'UADA' })
  it.bot.roles.revoke({ ...ANY, subject: 'user:UADA' })
  await it.slack.press(card, 'Approve', OTHER)
  await until('the end', () => stateOf(it) === 'failed')
  expect(it.bot.approvals.find(1)?.result).toContain('store delete needs the role admin')
  expect(isThere(it)).toBe(true)
})

test('the console needs no second person', async () => {
  await using it = await startSlackBot({}, 'on')
  expect((await runCommand(it.bot, 'store', 'delete', 'edge-a', '--confirm', 'edge-a')).code).toBe(0)
  expect(isThere(it)).toBe(false)
})
