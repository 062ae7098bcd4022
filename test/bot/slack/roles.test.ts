// Roles in Slack: from the database, groups, zones and channels, decided again for each press and submission, and the first admin.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { until } from '../../support/until.ts'
import { runCommand } from '../fixture.ts'
import { ADMIN, seen, startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }

describe('a role', () => {
  test('counts from the moment it is granted until it is revoked', async () => {
    await using it = await startSlackBot()
    const ada = { user: 'UADA' }
    await it.slack.command('/slipway', 'store disable edge-a', ada)
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    // As Slack writes the mention of a person.
    await it.slack.command('/slipway', 'role grant operator user=<@UADA|ada>', ADMIN)
    await seen(it.slack, 'post')
    await it.slack.command('/slipway', 'store disable edge-a', ada)
    await until('the store is disabled', () => !it.agent.store.enabled)
    await it.slack.command('/slipway', 'role revoke user=UADA', ADMIN)
    await seen(it.slack, 'post', 3)
    await it.slack.command('/slipway', 'store enable edge-a', ada)
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    expect(it.slack.failures).toEqual([])
  })

  test('for a channel counts there and nowhere else, also for buttons', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'operator', channel: 'C1' }, 'test', 0)
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UADA', channel: 'C2' })
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UADA', channel: 'C1' })
    const card = await seen(it.slack, 'post')
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER', channel: 'C2' })
    const elsewhere = await seen(it.slack, 'post', 2)
    await it.slack.press(elsewhere, 'Cancel', { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    await it.slack.press(card, 'Cancel', { user: 'UADA' })
    await until('a task is cancelled', () => [...it.agent.tasks.values()].some(({ state }) => state === 'cancelled'))
  })

  test('for a zone lets its buttons be pressed; a refused press in another zone leaves the button to others', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'operator', zone: 'zone-2' }, 'test', 0)
    await it.slack.command('/slipway', 'stor disable edge-a')
    const unclear = await seen(it.slack, 'response')
    await it.slack.press(unclear, 'store disable edge-a', { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    expect(it.agent.store.enabled).toBe(true)
    it.bot.fleet.registry.change('edge-a', { zone: 'zone-2' })
    await it.slack.press(unclear, 'store disable edge-a', { user: 'UADA' })
    await until('the store is disabled', () => !it.agent.store.enabled)
  })

  test('that was revoked after the window opened is missed when it is submitted', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'admin' }, 'test', 0)
    await it.slack.command('/slipway', 'store delete edge-a', { user: 'UADA' })
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
    expect(it.bot.roles.revoke({ ...ANY, subject: 'user:UADA' })).toBe('revoked')
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'post'))).toContain('needs the role admin; you have viewer')
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })
})

describe('a group', () => {
  test('gives its members the role, and takes it from those who left', async () => {
    const groups: Record<string, string[]> = { SOPS: ['UADA', 'UBOB'] }
    await using it = await startSlackBot({ groups })
    await it.slack.command('/slipway', 'role grant operator group=<!subteam^SOPS|@ops>', ADMIN)
    await seen(it.slack, 'post')
    await it.slack.command('/slipway', 'store disable edge-a', { user: 'UADA' })
    await until('the store is disabled', () => !it.agent.store.enabled)
    await it.slack.command('/slipway', 'store enable edge-a', { user: 'UEVE' })
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    groups['SOPS'] = ['UBOB']
    it.bot.database.run('UPDATE slack_groups SET fetched_ms = fetched_ms - 60001')
    await it.slack.command('/slipway', 'store enable edge-a', { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    await it.slack.command('/slipway', 'store enable edge-a', { user: 'UBOB' })
    await until('the store is enabled', () => it.agent.store.enabled)
    expect(it.slack.calls.filter((call) => call === 'usergroups.users.list')).toHaveLength(2)
    expect(it.slack.failures).toEqual([])
  })

  test.each<[string, Parameters<typeof startSlackBot>[0]]>([
    ['that Slack does not know', { groups: {} }],
    ['without the scope usergroups:read', { groups: { SOPS: ['UADA'] }, scopes: ['commands', 'chat:write'] }],
  ])('%s gives no role', async (_what, options) => {
    await using it = await startSlackBot(options)
    it.bot.roles.grant({ ...ANY, subject: 'group:SOPS', role: 'operator' }, 'test', 0)
    await it.slack.command('/slipway', 'store disable edge-a', { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    expect(it.slack.calls).toContain('usergroups.users.list')
  })

  test('is not asked for while no grant names one', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store list')
    await seen(it.slack, 'response')
    expect(it.slack.calls).not.toContain('usergroups.users.list')
  })
})

describe('the first admin', () => {
  test('claims the role with the code from the console, which the audit log does not have', async () => {
    await using it = await startSlackBot()
    const { output } = await runCommand(it.bot, 'role', 'code')
    const code = /claim ([0-9A-Z-]{14})/.exec(output)?.[1] ?? ''
    await it.slack.command('/slipway', 'role claim AAAA-AAAA-AAAA', { user: 'UEVE' })
    expect(visibleText(await seen(it.slack, 'response'))).toContain('This is not the code.')
    await it.slack.command('/slipway', `role claim ${code}`, { user: 'UADA' })
    const card = await seen(it.slack, 'post')
    expect(visibleText(card)).toContain('name-UADA (UADA) is an admin')
    expect(JSON.stringify(card.blocks)).not.toContain(code)
    await it.slack.command('/slipway', `role claim ${code}`, { user: 'UEVE' })
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('There is no code to claim')
    await it.slack.command('/slipway', 'role code', { user: 'UADA' })
    expect(visibleText(await seen(it.slack, 'response', 3))).toContain('Codes are made in the console only.')
    const audit = JSON.stringify(it.bot.audit.page(undefined, 1000).rows)
    expect([audit.includes(code), audit.includes('role claim ***')]).toEqual([false, true])
    expect(it.bot.roles.list().map(({ subject, role }) => `${subject} ${role}`)).toContain('user:UADA admin')
    expect((await runCommand(it.bot, 'role', 'claim', code)).output).toContain('A code is claimed in Slack')
  })
})

describe('the commands of roles', () => {
  test.each([
    ['role grant operator', 'Name one user or one group.'],
    ['role grant operator user=U1 group=S1', 'Name one user or one group.'],
    ['role grant boss user=U024BE7LH', 'There is no role "boss"'],
    ['role grant operator user=ada', '"ada" is not the id of a Slack user.'],
    ['role grant operator user=S0614TZR7', '"S0614TZR7" is not the id of a Slack user.'],
    ['role grant operator group=U024BE7LH', '"U024BE7LH" is not the id of a Slack group.'],
    ['role grant operator user=U024BE7LH channel=ops', '"ops" is not the id of a Slack channel.'],
    ['role grant operator user=U024BE7LH zone=zone-2', 'No store is in zone "zone-2".'],
    ['role grant operator user=U024BE7LH store=edge-z', 'No store is called "edge-z".'],
    ['role grant operator user=U024BE7LH store=edge-a zone=zone-1', 'A role is for a zone or for a store.'],
    ['role grant admin user=U024BE7LH channel=C024BE91L', 'The role admin cannot be limited to a channel.'],
    ['role revoke user=U024BE7LH', 'user U024BE7LH has no role for: whole fleet.'],
    ['role revoke user=UADMIN', 'user UADMIN has the role from the environment of the bot.'],
  ])('refuse %s', async (line, sentence) => {
    await using it = await startSlackBot()
    const { code, output } = await runCommand(it.bot, ...line.split(' '))
    expect([code, output.includes(sentence)]).toEqual([1, true])
    expect(it.bot.roles.list()).toHaveLength(2)
  })

  test('grant, list and revoke with places', async () => {
    await using it = await startSlackBot()
    await runCommand(it.bot, 'role', 'grant', 'operator', 'user=<@U024BE7LH|ada>', 'zone=zone-1', 'channel=<#C024BE91L|ops>')
    await runCommand(it.bot, 'role', 'grant', 'uploader', 'user=U024BE7LH', 'store=EDGE-A')
    const { output } = await runCommand(it.bot, 'role', 'list')
    expect(output).toContain('zone zone-1, in channel C024BE91L')
    expect(output).toContain('store edge-a')
    expect(output).toContain('the environment of the bot')
    const revoked = await runCommand(it.bot, 'role', 'revoke', 'user=U024BE7LH', 'zone=zone-1', 'channel=C024BE91L')
    expect(revoked.output).toContain('Still uploader for: store edge-a.')
    expect(it.bot.roles.list()).toHaveLength(3)
  })
})
