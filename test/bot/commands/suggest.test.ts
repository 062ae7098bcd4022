// What pickers offer: names that the bot itself knows, for the person who searches and nothing more.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { heldOf } from '../../../bot/fleet/catalogue/held-image.ts'
import type { CommandActor } from '../../../bot/commands/command.ts'
import type { Subject } from '../../../protocol/views/form-field.ts'
import { QUERY_LENGTH_MAX, suggest } from '../../../bot/commands/suggest.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { imageOf } from './scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ADMIN: CommandActor = { name: 'ann', role: 'admin' }
/** An operator in zone-1 and a viewer elsewhere. */
const OF_ZONE: CommandActor = { name: 'bob', role: 'viewer', roleIn: ({ zone }) => (zone === 'zone-1' ? 'operator' : 'viewer') }

/** A bot with stores by name and zone, whose agents nobody may ask. */
function open(stores: Readonly<Record<string, string>>): OpenBot {
  const bot = openBot('', {
    clock: systemClock,
    database: openMemoryDatabase(),
    fetch: () => {
      throw new Error('an agent was asked')
    },
  })
  for (const [name, zone] of Object.entries(stores))
    bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone, provider: 'local', storeId: crypto.randomUUID() }, 0)
  return bot
}

function hold(bot: OpenBot, store: string, images: readonly Image[]): void {
  const held = bot.catalogue.open(store)
  if (!held) throw new Error(`${store} is not registered`)
  bot.catalogue.put(
    held,
    images.map((image) => heldOf(image, 1)),
  )
}

async function offered(bot: OpenBot, [name, subject]: readonly [command: string, subject: Subject], typed: string, actor = ADMIN, zone?: string) {
  const command = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}` === name)
  if (!command) throw new Error(`there is no command ${name}`)
  return suggest(bot.context(actor, 'slack'), { command, subject, typed, zone })
}

const labels = (found: readonly { readonly label: string }[]): string[] => found.map(({ label }) => label)
const values = (found: readonly { readonly value: string }[]): string[] => found.map(({ value }) => value)

describe('stores', () => {
  const STORE = ['store edit', 'store'] as const

  test('that begin with the text come before those that have it elsewhere, and the text itself last', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'hub-edge': '', far: 'zone-2' })
    expect(await offered(bot, STORE, ' EDGE ')).toEqual([
      { value: 'edge-a', label: 'edge-a · zone-1' },
      { value: 'hub-edge', label: 'hub-edge' },
      { value: 'EDGE', label: 'Use "EDGE"' },
    ])
    expect(values(await offered(bot, STORE, ''))).toEqual(['edge-a', 'far', 'hub-edge'])
    expect(values(await offered(bot, STORE, 'far'))).toEqual(['far'])
  })

  test('are those on which the command may act for the person', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    expect(values(await offered(bot, ['store cleanup', 'store'], '', OF_ZONE))).toEqual(['edge-a'])
    expect(await offered(bot, ['store edit', 'store'], '', OF_ZONE)).toEqual([])
    expect(await offered(bot, ['store delete', 'store'], 'edge', OF_ZONE)).toEqual([])
    expect(values(await offered(bot, ['store show', 'store'], '', OF_ZONE))).toEqual(['edge-a', 'edge-b'])
  })

  test('outside of the zone are not offered', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2', hub: 'zone-3' })
    bot.context(ADMIN, 'slack').zones.learnScope('hub', 'region')
    expect(values(await offered(bot, ['image upload', 'store'], '', ADMIN, 'zone-2'))).toEqual(['edge-b', 'hub'])
  })

  test('of 10,000 are 100, in bounded time, also for a role in a zone', async () => {
    using bot = open({})
    bot.database.transaction(() => {
      for (let i = 0; i < 10_000; i++)
        bot.fleet.registry.add({ name: `edge-${i}`, url: 'http://127.0.0.1:1', token: 'x', zone: `zone-${i % 10}`, provider: 'local', storeId: null }, 0)
    })()
    const found = await offered(bot, STORE, 'edge-99')
    expect([found.length, found[0]?.value, found.at(-1)?.value]).toEqual([100, 'edge-99', 'edge-9989'])
    expect(values(await offered(bot, STORE, 'dge-9999'))).toEqual(['edge-9999', 'dge-9999'])
    const ofZone = await offered(bot, ['store cleanup', 'store'], 'edge-1', OF_ZONE)
    expect([ofZone.length, ofZone.every(({ label }) => label.endsWith(' · zone-1') || label.startsWith('Use'))]).toEqual([100, true])
  })

  test('are not searched for with a text that is too long', async () => {
    using bot = open({ 'edge-a': 'zone-1' })
    expect(await offered(bot, STORE, 'x'.repeat(QUERY_LENGTH_MAX + 1))).toEqual([])
    expect(await offered(bot, STORE, 'x'.repeat(QUERY_LENGTH_MAX))).toHaveLength(1)
  })
})

describe('zones', () => {
  test('are all for those who may act everywhere, else those with a store of theirs', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2', 'edge-c': 'zone-2' })
    bot.context(ADMIN, 'slack').zones.add({ name: 'zone-9', description: '' }, 0)
    expect(labels(await offered(bot, ['store add', 'zone'], ''))).toEqual(['zone-1 · 1 store', 'zone-2 · 2 stores', 'zone-9 · 0 stores'])
    expect(labels(await offered(bot, ['store add', 'zone'], 'zone-3'))).toEqual(['Use "zone-3"'])
    expect(labels(await offered(bot, ['image upload', 'zone'], '', OF_ZONE))).toEqual(['zone-1 · 1 store'])
  })
})

describe('images', () => {
  test('come from the catalogue: one by its id, copies in several stores by their name', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    hold(bot, 'edge-a', [imageOf(1, { name: 'debian-12' }), imageOf(2, { name: 'alpine' }), imageOf(3, { name: 'old-debian', status: 'deleted' })])
    hold(bot, 'edge-b', [imageOf(4, { name: 'debian-12' }), imageOf(5, { name: 'my-Debian' })])
    expect(await offered(bot, ['image show', 'image'], 'debian')).toEqual([
      { value: 'debian-12', label: 'debian-12 · 2 copies' },
      { value: imageOf(5).id, label: 'my-Debian · edge-b' },
      { value: 'debian', label: 'Use "debian"' },
    ])
    expect(labels(await offered(bot, ['image restore', 'deleted-image'], ''))).toEqual(['old-debian · edge-a'])
    expect(labels(await offered(bot, ['image purge', 'any-image'], 'debian'))).toEqual([
      'debian-12 · 2 copies',
      'old-debian · edge-a',
      'my-Debian · edge-b',
      'Use "debian"',
    ])
    expect(values(await offered(bot, ['image show', 'image'], imageOf(2).id))).toEqual([imageOf(2).id])
  })

  test('that a person does not see, and those of stores on which the command may not act, are not offered', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    const grants = [{ subject: 'user:ann', rights: ['read' as const] }]
    hold(bot, 'edge-a', [imageOf(1, { name: 'open' }), imageOf(2, { name: 'granted', grants })])
    hold(bot, 'edge-b', [imageOf(3, { name: 'classified', grants }), imageOf(4, { name: 'other' })])
    expect(labels(await offered(bot, ['image show', 'image'], '', OF_ZONE))).toEqual(['granted · edge-a', 'open · edge-a', 'other · edge-b'])
    expect(labels(await offered(bot, ['image delete', 'image'], '', OF_ZONE))).toEqual(['granted · edge-a', 'open · edge-a'])
    expect(await offered(bot, ['image delete', 'image'], 'o', { name: 'eve', role: 'viewer' })).toEqual([])
  })

  test('are 100 at most, whatever their names', async () => {
    using bot = open({ 'edge-a': 'zone-1' })
    hold(
      bot,
      'edge-a',
      Array.from({ length: 300 }, (_unused, i) => imageOf(i + 1, { name: `%_'"<!channel> ${String(i).padStart(3, '0')}` })),
    )
    const found = await offered(bot, ['image show', 'image'], `_'"<!channel> 1`)
    expect([found.length, found[0]?.label, found[98]?.label, found[99]?.label]).toEqual([
      100,
      `%_'"<!channel> 100 · edge-a`,
      `%_'"<!channel> 198 · edge-a`,
      `Use "_'"<!channel> 1"`,
    ])
    expect(await offered(bot, ['image show', 'image'], '%%')).toHaveLength(1)
  })
})

describe('tasks', () => {
  test('are those in progress, then those that ended, without the names of images for people below operator', async () => {
    using bot = open({ 'edge-a': 'zone-1', 'edge-b': 'zone-2' })
    const id = (n: number): string => `tsk_${String(n).padStart(26, '0')}`
    const time = '2026-01-01T00:00:00.000Z'
    const running = (n: number) => ({
      ...{ id: id(n), kind: 'sync' as const, state: 'running' as const, subject: 'debian-12', createdBy: 'x' },
      progress: { done: 0, total: 1, unit: 'bytes' as const, rate: 0, etaSeconds: null },
    })
    for (const [n, store] of bot.fleet.registry.list().entries())
      bot.fleet.kept.states.record([
        {
          kind: 'answered',
          store,
          asOfMs: 1,
          value: { health: { state: 'running', checks: [], asOf: time }, store: null, tasks: { running: 1, queued: 0, items: [running(n)] } },
        },
      ])
    const event = { severity: 'error' as const, actor: 'x', details: {} }
    bot.fleet.kept.events.keep(
      [
        {
          ...{ store: 'edge-a', position: 2, hasSkipped: false, isReset: false },
          events: [
            { ...event, id: '1', time, type: 'task.failed', subject: id(7), message: 'The sync task on alpine failed: no space.' },
            { ...event, id: '2', time, type: 'image.deleted', subject: 'img_1', message: 'gone' },
          ],
        },
      ],
      1,
    )
    expect(await offered(bot, ['task cancel', 'task'], '')).toEqual([
      { value: id(0), label: 'edge-a: sync debian-12' },
      { value: id(1), label: 'edge-b: sync debian-12' },
      { value: id(7), label: 'edge-a: The sync task on alpine failed: no space.' },
    ])
    expect(values(await offered(bot, ['task retry', 'task'], 'alpine'))).toEqual([id(7), 'alpine'])
    expect(labels(await offered(bot, ['task cancel', 'task'], '', OF_ZONE))).toEqual([
      'edge-a: sync debian-12',
      'edge-a: The sync task on alpine failed: no space.',
    ])
    expect(labels(await offered(bot, ['task show', 'task'], '', { name: 'eve', role: 'viewer' }))).toEqual([
      `edge-a: ${id(0)}`,
      `edge-b: ${id(1)}`,
      `edge-a: ${id(7)}`,
    ])
  })
})

test('policies are offered by name, and nothing for what the bot does not know', async () => {
  using bot = open({})
  bot.context(ADMIN, 'slack').policies.add({
    ...{ name: 'nightly', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' }, labels: [], kinds: [], cron: '23 2 * * *', timezone: 'UTC' },
    ...{ graceMs: 0, paused: false, createdMs: 0, anchorMs: 0 },
  })
  expect(values(await offered(bot, ['policy show', 'policy'], 'night'))).toEqual(['nightly', 'night'])
  expect(values(await offered(bot, ['upload show', 'upload'], 'x'))).toEqual(['x'])
})
