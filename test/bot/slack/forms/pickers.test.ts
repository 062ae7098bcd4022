// The options of pickers: what the bot knows and the person may use, for pickers in messages and for fields of forms.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createAuthority } from '../../../../bot/slack/authorise.ts'
import { createButtons } from '../../../../bot/slack/buttons.ts'
import { createPickers } from '../../../../bot/slack/forms/pickers.ts'
import { createOpenModals } from '../../../../bot/slack/open-modals.ts'
import type { OpenModal } from '../../../../bot/slack/open-modals.ts'
import type { Press } from '../../../../bot/views/blocks.ts'
import { openScriptedFleet } from '../../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const ANN = { user: 'UANN', userName: 'ann', channel: 'C1' }

/** A fleet with edge-a in zone-1 and edge-b in zone-2; ann is an operator, bob one in the channel C1 only. */
function open(names: readonly string[] = ['edge-a', 'edge-b']) {
  const fleet = openScriptedFleet(Object.fromEntries(names.map((name) => [name, {}])))
  const { bot, clock } = fleet
  const { database, roles } = bot
  const { registry } = bot.fleet
  const second = registry.find('edge-b')
  if (second) {
    registry.remove('edge-b')
    registry.add({ ...second, zone: 'zone-2' }, 0)
  }
  roles.grant({ ...ANY, subject: 'user:UANN', role: 'operator' }, 'test', 0)
  roles.grant({ ...ANY, subject: 'user:UBOB', role: 'operator', channel: 'C1' }, 'test', 0)
  let refreshed = 0
  const groups = { refresh: async () => void refreshed++, groupsOf: () => new Set<string>() }
  const [buttons, modals] = [createButtons(database, clock), createOpenModals(database, clock)]
  const pickers = createPickers({ bot, buttons, modals, authority: createAuthority({ bot, roles, groups, buttons, modals }) })
  const pressed = (press: Partial<Press>) => ({ button: buttons.register({ command: 'store show', page: 0, role: 'viewer', ...press }, false) })
  const opened = (modal: Partial<OpenModal> = {}) =>
    modals.register({ command: 'store edit', role: 'operator', name: '', channel: 'C1', user: 'UANN', form: { values: {}, before: {} }, ...modal })
  const values = async (...asked: Parameters<typeof pickers.options>): Promise<string[]> => (await pickers.options(...asked)).map(({ value = '' }) => value)
  return { pickers, pressed, opened, values, refreshed: () => refreshed, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

describe('a picker of a message', () => {
  const picks = { key: '', subject: 'store' } as const

  test('offers what its command takes, by what was typed', async () => {
    using it = open()
    expect(await it.pickers.options(it.pressed({ picks }), 'b', ANN)).toEqual([
      { text: { type: 'plain_text', text: 'edge-b · zone-2', emoji: false }, value: 'edge-b' },
      { text: { type: 'plain_text', text: 'Use "b"', emoji: false }, value: 'b' },
    ])
    expect(await it.values(it.pressed({ picks }), '', ANN)).toEqual(['edge-a', 'edge-b'])
    // The command may have everything it needs already.
    expect(await it.values(it.pressed({ picks, command: 'store list' }), '', ANN)).toEqual(['edge-a', 'edge-b'])
    expect(it.refreshed()).toBe(3)
  })

  test('offers nothing when it is unknown, is no picker, has no command, or its command is not for the person', async () => {
    using it = open()
    expect(await it.values({ button: 'unknown' }, '', ANN)).toEqual([])
    expect(await it.values(it.pressed({}), '', ANN)).toEqual([])
    expect(await it.values(it.pressed({ picks, command: 'store vanish' }), '', ANN)).toEqual([])
    const operators = it.pressed({ picks, command: 'store disable' })
    expect(await it.values(operators, '', { ...ANN, user: 'UBOB' })).toEqual(['edge-a', 'edge-b'])
    expect(await it.values(operators, '', { ...ANN, user: 'UBOB', channel: 'C2' })).toEqual([])
    expect(await it.values(operators, '', { ...ANN, user: 'UEVE' })).toEqual([])
  })
})

describe('a field of a form', () => {
  const fieldOf = (modal: string, key: string, filled: Readonly<Record<string, string | readonly string[]>> = {}) => ({ modal, key, filled })

  test('offers the stores of the zone that was chosen', async () => {
    using it = open()
    const modal = it.opened({ command: 'image list' })
    expect(await it.values(fieldOf(modal, 'store'), '', ANN)).toEqual(['edge-a', 'edge-b'])
    expect(await it.values(fieldOf(modal, 'store', { zone: '' }), '', ANN)).toEqual(['edge-a', 'edge-b'])
    expect(await it.values(fieldOf(modal, 'store', { zone: 'zone-2' }), '', ANN)).toEqual(['edge-b'])
    expect(await it.values(fieldOf(modal, 'store', { zone: ['zone-2'] }), '', ANN)).toEqual(['edge-a', 'edge-b'])
    // The zones themselves are all offered again.
    expect(await it.values(fieldOf(modal, 'zone', { zone: 'zone-2' }), '', ANN)).toEqual(['zone-1', 'zone-2'])
  })

  test('offers nothing to another person, for an unknown form or command, or for a field that is typed', async () => {
    using it = open()
    const modal = it.opened({ command: 'image list' })
    expect(await it.values(fieldOf(modal, 'store'), '', { ...ANN, user: 'UBOB' })).toEqual([])
    expect(await it.values(fieldOf('unknown', 'store'), '', ANN)).toEqual([])
    expect(await it.values(fieldOf(modal, 'search'), '', ANN)).toEqual([])
    expect(await it.values(fieldOf(modal, 'nothing'), '', ANN)).toEqual([])
    expect(await it.values(fieldOf(it.opened({ command: 'image vanish' }), 'store'), '', ANN)).toEqual([])
  })

  test('counts the role in the channel where the form was opened', async () => {
    using it = open()
    const asker = { user: 'UBOB', userName: 'bob', channel: 'C2' }
    expect(await it.values(fieldOf(it.opened({ command: 'store disable', user: 'UBOB', channel: 'C1' }), 'S'), '', asker)).not.toEqual([])
    expect(await it.values(fieldOf(it.opened({ command: 'store disable', user: 'UBOB', channel: 'C2' }), 'S'), '', { ...asker, channel: 'C1' })).toEqual([])
  })
})

test('a value of 150 characters is offered with a label of 75, a longer one not at all', async () => {
  using it = open()
  const picks = { key: '', subject: 'store' } as const
  const [first, ...others] = await it.pickers.options(it.pressed({ picks }), 'x'.repeat(150), ANN)
  expect([first?.value, first?.text.text.length, others]).toEqual(['x'.repeat(150), 75, []])
  expect(await it.values(it.pressed({ picks }), 'x'.repeat(151), ANN)).toEqual([])
})

test('at most 100 options are offered', async () => {
  using it = open(Array.from({ length: 101 }, (_unused, i) => `store-${100 + i}`))
  const values = await it.values(it.pressed({ picks: { key: '', subject: 'store' } }), '', ANN)
  expect([values.length, values[0], values.at(-1)]).toEqual([100, 'store-100', 'store-199'])
})
