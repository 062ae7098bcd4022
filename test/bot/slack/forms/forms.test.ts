// Forms and pickers through Slack: a modal of a command's own fields, the same line as a typed one, and what goes wrong between opening and submitting it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runCommand } from '../../fixture.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import type { Json, Shown } from '../../../support/clients/fake-slack/shown.ts'
import type { Acknowledged } from '../../../support/clients/fake-slack/transport.ts'
import { createMemoryAgent } from '../../../support/memory/memory-agent.ts'
import { until } from '../../../support/until.ts'
import { ADMIN, seen, startSlackBot } from '../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const ADA = { user: 'UADA' }
type SlackBot = Awaited<ReturnType<typeof startSlackBot>>

const option = (value: string): Json => ({ text: { type: 'plain_text', text: value }, value })
const rows = (it: SlackBot) => it.bot.audit.list({ limit: 100 }).toReversed()
const optionsOf = ({ body }: Acknowledged): string[] => ((body?.['options'] ?? []) as { readonly value: string }[]).map(({ value }) => value)

async function openForm(it: SlackBot, line: string, person = ADMIN): Promise<Json> {
  const before = it.slack.shown.length
  await it.slack.command('/slipway', line, person)
  const modal = await until('the form', () => it.slack.shown.slice(before).find(({ kind }) => kind === 'modal'))
  return modal.view ?? {}
}

/** What a submission shows beside a field or in the modal, whether the command was quick or not. */
async function refusedWith(it: SlackBot, acked: Acknowledged, from: number): Promise<string> {
  const { response_action: action, errors, view } = acked.body ?? {}
  if (action === 'errors') return JSON.stringify(errors)
  const blocks = ((view as Json)['blocks'] ?? []) as Json[]
  const shown = blocks.some((block) => block['type'] === 'input') ? { blocks } : await until('the form', () => it.slack.shown.slice(from).find(isForm))
  return visibleText(shown)
}

const isForm = ({ view }: Shown): boolean => view?.['callback_id'] === 'slipway:form'

describe('store add', () => {
  test('by its form registers the store with the facts and the audit of the typed command', async () => {
    await using typed = await startSlackBot()
    await using formed = await startSlackBot()
    await using other = createMemoryAgent('edge-b')
    const words = `name=edge-b url=${other.url} token=${other.token} zone=zone-2`
    await typed.slack.command('/slipway', `store add ${words}`, ADMIN)
    const line = await seen(typed.slack, 'post')

    const view = await openForm(formed, 'store add')
    const zones = await formed.slack.suggest(view, 'zone', 'zone', ADMIN)
    expect(optionsOf(zones)).toEqual(['zone-1', 'zone'])
    await formed.slack.submit(view, { name: 'edge-b', url: other.url, token: other.token, zone: option('zone-2'), provider: '' }, ADMIN)
    const card = await seen(formed.slack, 'post')

    const facts = (shown: Shown): string[] =>
      visibleText(shown)
        .split('\n')
        .filter((part) => !/as of|UTC|ago|store add/.test(part))
    expect(facts(card)).toEqual(facts(line))
    expect(card.channel).toBe(line.channel)
    const known = ({ bot }: SlackBot) => bot.fleet.registry.find('edge-b')
    expect({ ...known(formed), addedMs: 0, lastSeenMs: 0 }).toEqual({ ...known(typed), addedMs: 0, lastSeenMs: 0 } as never)
    const audited = (it: SlackBot) =>
      rows(it)
        .filter(({ command }) => command.includes('name='))
        .map(({ command, target, actor, role, channel, effect, outcome, detail }) => ({ command, target, actor, role, channel, effect, outcome, detail }))
    expect(audited(formed)).toEqual(audited(typed))
    expect(audited(formed).map(({ outcome }) => outcome)).toEqual(['done'])
    expect(rows(formed).at(-1)?.via).toBe('form')
    expect(JSON.stringify([formed.slack.shown, rows(formed)])).not.toContain(other.token)
    expect([...formed.slack.failures, ...typed.slack.failures]).toEqual([])
  })

  test('says what is wrong beside its field, keeps what was filled in but for the token, and can be submitted again', async () => {
    await using it = await startSlackBot()
    const view = await openForm(it, 'store add name=edge-b')
    const from = it.slack.shown.length
    const values = { name: 'all', url: 'nonsense://x', token: 'slp_hidden', zone: option('zone-2') }
    const first = await it.slack.submit(view, values, ADMIN)
    expect(await refusedWith(it, first, from)).toContain('cannot be the name of a store.')
    const later = it.slack.shown.length
    const second = await it.slack.submit(view, { ...values, name: 'edge-b' }, ADMIN)
    expect(await refusedWith(it, second, later)).toContain('is not the address of an agent. Nothing was registered.')
    expect(JSON.stringify(it.slack.shown)).not.toContain('slp_hidden')
    expect(it.bot.fleet.registry.find('edge-b')).toBeUndefined()
    await until('all rows', () => rows(it).filter(({ outcome }) => outcome === 'failed').length === 2)
    expect(JSON.stringify(rows(it))).not.toContain('slp_hidden')
    expect(it.slack.failures).toEqual([])
  })
})

describe('store edit', () => {
  test('shows what is so now, sends only what changed, and finds a zone by a part of its name', async () => {
    await using it = await startSlackBot()
    it.bot.context({ name: 'x', role: 'admin' }, 'slack').zones.add({ name: 'far-zone', description: '' }, 0)
    const view = await openForm(it, 'store edit edge-a')
    expect(JSON.stringify(view)).toContain('"initial_option":{"text":{"type":"plain_text","text":"zone-1"},"value":"zone-1"}')
    expect(optionsOf(await it.slack.suggest(view, 'zone', 'zone', ADMIN))).toEqual(['zone-1', 'far-zone', 'zone'])
    await it.slack.submit(view, { name: 'edge-a', url: it.agent.url, token: '', zone: option('far-zone'), provider: 'local' }, ADMIN)
    await seen(it.slack, 'post')
    expect(it.bot.fleet.registry.find('edge-a')?.zone).toBe('far-zone')
    expect(rows(it).at(-1)).toMatchObject({ command: 'store edit edge-a zone=far-zone', via: 'form', outcome: 'done' })
    expect(it.slack.failures).toEqual([])
  })

  test('of a store that is gone by then, or by somebody whose role is gone, changes nothing', async () => {
    await using it = await startSlackBot()
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'admin', zone: 'zone-1' }, 'test', 0)
    const view = await openForm(it, 'store edit edge-a', ADA)
    await runCommand(it.bot, 'role', 'revoke', 'user=UADA', 'zone=zone-1')
    const from = it.slack.shown.length
    await it.slack.submit(view, { zone: option('zone-2') }, ADA)
    await until('the refusal', () =>
      it.slack.shown.slice(from).find((shown) => visibleText(shown).includes('This form needs the role admin; you have viewer.')),
    )
    expect(it.bot.fleet.registry.find('edge-a')?.zone).toBe('zone-1')
    expect(rows(it).at(-1)).toMatchObject({ actor: 'name-UADA (UADA)', via: 'form', outcome: 'refused' })

    const other = await openForm(it, 'store edit edge-a')
    it.bot.fleet.registry.remove('edge-a')
    const later = it.slack.shown.length
    const submitted = await it.slack.submit(other, { zone: option('zone-2') }, ADMIN)
    expect(await refusedWith(it, submitted, later)).toContain('No store is called "edge-a".')
    expect(it.slack.failures).toEqual([])
  })

  test('is not submitted by somebody else, and not twice', async () => {
    await using it = await startSlackBot()
    const view = await openForm(it, 'store edit edge-a')
    await it.slack.submit(view, { zone: option('zone-2') }, { user: 'UOPER' })
    await until('the refusal', () => it.slack.shown.find((shown) => visibleText(shown).includes('This form has expired, or was used already.')))
    expect(optionsOf(await it.slack.suggest(view, 'zone', '', { user: 'UOPER' }))).toEqual([])
    await it.slack.submit(view, { zone: option('zone-2') }, ADMIN)
    await seen(it.slack, 'post')
    const from = it.slack.shown.length
    await it.slack.submit(view, { zone: option('zone-3') }, ADMIN)
    await until('the second refusal', () => it.slack.shown.slice(from).find((shown) => visibleText(shown).includes('This form has expired')))
    expect(it.bot.fleet.registry.find('edge-a')?.zone).toBe('zone-2')
  })

  test('that was deleted from the database is no longer valid', async () => {
    await using it = await startSlackBot()
    const view = await openForm(it, 'store edit edge-a')
    it.bot.database.run('DELETE FROM modals')
    await it.slack.submit(view, { zone: option('zone-2') }, ADMIN)
    await until('the refusal', () => it.slack.shown.find((shown) => visibleText(shown).includes('This form has expired')))
    expect(it.bot.fleet.registry.find('edge-a')?.zone).toBe('zone-1')
  })

  test('whose trigger has expired is opened by the button of the answer', async () => {
    let isLate = true
    let laterMs = 0
    // Each look at the clock of Slack is four seconds later, and a trigger lives three.
    await using it = await startSlackBot({ nowMs: () => performance.now() + (isLate ? (laterMs += 4000) : laterMs) })
    await it.slack.command('/slipway', 'store edit edge-a', ADMIN)
    const asked = await seen(it.slack, 'response')
    expect(it.slack.shown.filter(({ kind }) => kind === 'modal')).toEqual([])
    expect(it.slack.failures).toEqual(['expired_trigger_id'])
    isLate = false
    await it.slack.press(asked, 'Edit a store…', ADMIN)
    const modal = await seen(it.slack, 'modal')
    expect([modal.view?.['callback_id'], visibleText(modal).startsWith('edge-a')]).toEqual(['slipway:form', true])
  })
})

describe('image upload', () => {
  test('with an option is no form, and a viewer gets none', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'image upload store=edge-a name=x', { user: 'UOPER' })
    await seen(it.slack, 'response')
    await it.slack.command('/slipway', 'image upload', { user: 'UVIEW' })
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('image upload needs the role uploader')
    expect(it.slack.shown.filter(({ kind }) => kind === 'modal')).toEqual([])
  })
})

describe('a picker in an answer', () => {
  test('finds the store that a command lacks, among those where the person may run it', async () => {
    await using it = await startSlackBot()
    for (const [name, zone] of [
      ['edge-b', 'zone-2'],
      ['hub', 'zone-1'],
    ] as const)
      it.bot.fleet.registry.add({ name, url: it.agent.url, token: 'x', zone, provider: 'local', storeId: null }, 0)
    it.bot.roles.grant({ ...ANY, subject: 'user:UADA', role: 'operator', zone: 'zone-1' }, 'test', 0)
    await it.slack.command('/slipway', 'store disable reason=moving', ADA)
    const asked = await seen(it.slack, 'response')
    expect(visibleText(asked)).toContain('There are 2 stores: edge-a, hub.')
    expect(optionsOf(await it.slack.search(asked, '', ADA))).toEqual(['edge-a', 'hub'])
    expect(optionsOf(await it.slack.search(asked, 'dge', ADA))).toEqual(['edge-a', 'dge'])
    expect(optionsOf(await it.slack.search(asked, '', { user: 'UVIEW' }))).toEqual([])
    await it.slack.choose(asked, option('edge-b'), ADA)
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('store disable needs the role operator in edge-b')
    await it.slack.choose(asked, option('edge-a'), ADA)
    await until('the store is disabled', () => !it.agent.store.enabled)
    expect(rows(it).at(-1)).toMatchObject({ command: 'store disable edge-a reason=moving', via: 'button' })
    expect(it.slack.failures).toEqual([])
  })

  test('finds the zone and the store of a deletion, which still asks for the name', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'zone show')
    const zone = await seen(it.slack, 'response')
    expect(optionsOf(await it.slack.search(zone, 'zo'))).toEqual(['zone-1', 'zo'])
    await it.slack.choose(zone, option('zone-1'))
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('zone-1')
    await it.slack.command('/slipway', 'store delete --unreachable', ADMIN)
    const store = await seen(it.slack, 'response', 3)
    await it.slack.choose(store, option('edge-a'), ADMIN)
    await until('the modal', () => it.slack.shown.find(({ kind }) => kind === 'modal'))
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
    expect(it.slack.failures).toEqual([])
  })

  test('is not shown to people who may not run the command, and ends with its message', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store delete', { user: 'UVIEW' })
    const refused = await seen(it.slack, 'response')
    expect(JSON.stringify(refused.blocks)).not.toContain('external_select')
    await it.slack.command('/slipway', 'image show')
    const asked = await seen(it.slack, 'response', 2)
    it.bot.database.run('DELETE FROM buttons')
    expect(optionsOf(await it.slack.search(asked, 'x'))).toEqual([])
    await it.slack.choose(asked, option('x'))
    expect(visibleText(await seen(it.slack, 'response', 3))).toContain('This picker has expired')
  })
})

test('10,000 stores are searched while the acknowledgement is awaited', async () => {
  await using it = await startSlackBot()
  it.bot.database.run(
    `WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 9999)
     INSERT INTO stores (name, url, token, zone, provider, added_ms) SELECT 'site-' || n || '-<b>', 'http://127.0.0.1:1', '', 'zone-2', 'local', 0 FROM numbers`,
  )
  await it.slack.command('/slipway', 'store enable', { user: 'UOPER' })
  const asked = await seen(it.slack, 'response')
  expect(visibleText(asked)).toContain('There are 10001 stores: edge-a, site-0-<b>, ')
  expect(visibleText(asked)).toContain(' and 9981 more.')
  const { body, afterMs } = await it.slack.search(asked, 'ite-999', { user: 'UOPER' })
  const options = (body?.['options'] ?? []) as readonly { readonly text: Json }[]
  expect(options[0]?.text).toEqual({ type: 'plain_text', text: 'site-999-<b> · zone-2', emoji: false })
  expect(afterMs).toBeLessThan(3000)
  expect(it.slack.failures).toEqual([])
})
