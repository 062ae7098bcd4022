// Stores in lists, health and zones: what is known of each, what is not known of one that does not answer, and how one is named.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../../bot/open.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { createMemoryAgent } from '../../../../support/memory/memory-agent.ts'
import type { MemoryAgent } from '../../../../support/memory/memory-agent.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

async function add(bot: OpenBot, agent: MemoryAgent, zone: string): Promise<void> {
  const added = await runCommand(bot, 'store', 'add', `name=${agent.store.name}`, `url=${agent.url}`, `token=${agent.token}`, `zone=${zone}`)
  expect(added.code).toBe(0)
}

/** The row of a store or zone in an output, its cells divided by bars; empty if there is none. */
function rowOf(output: string, name: string): string {
  const row = output.split('\n').find((line) => new RegExp(`^[●✖▲] ${name} `).test(line.trim())) ?? ''
  return row.trim().replaceAll(/ {2,}/g, ' | ')
}

describe('two stores of a zone and one that stopped', () => {
  let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
  let bot: OpenBot
  let agents: MemoryAgent[]
  beforeAll(async () => {
    folder = await createTemporaryFolder()
    bot = openTestBot(folder.path)
    agents = ['edge-a', 'edge-b', 'edge-c'].map(createMemoryAgent)
    const [a, b, c] = agents
    if (!a || !b || !c) throw new Error('there are three agents')
    b.store = { ...b.store, slices: { ...b.store.slices, savingRatio: null }, enabled: false }
    await add(bot, a, 'zone-1')
    await add(bot, b, 'zone-1')
    await add(bot, c, 'zone-2')
    await c[Symbol.asyncDispose]()
  })
  afterAll(async () => {
    bot[Symbol.dispose]()
    for (const agent of agents.slice(0, 2)) await agent[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test('are listed with their space; of the stopped one only since when', async () => {
    const { output } = await runCommand(bot, 'store', 'list')
    expect(output).toContain('3 stores: 1 Stopped, 2 Running\n')
    expect(rowOf(output, 'edge-a')).toBe(`● edge-a | Running | – | zone-1 | local | 2 | 400 GB of 1.0 TB (40 %) | 599 GB | 3.0× | ${agents[0]?.url}`)
    expect(rowOf(output, 'edge-b')).toBe(`● edge-b | Running, disabled | – | zone-1 | local | 2 | 400 GB of 1.0 TB (40 %) | 599 GB | – | ${agents[1]?.url}`)
    expect(rowOf(output, 'edge-c')).toMatch(/^✖ edge-c \| Stopped \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \| zone-2 \| local \| – \| – \| – \| – \| http/)
    expect(output).toContain('Next: store health edge-c\n      store reconnect edge-c\n')
  })

  test('have a sum for a zone only if all of its stores answer', async () => {
    const { output } = await runCommand(bot, 'zone', 'list')
    expect(output).toContain('2 zones\n')
    expect(rowOf(output, 'zone-1')).toBe('● zone-1 | Running | edge-a (Running), edge-b (Running) | 4 | 800 GB | 1.2 TB')
    expect(rowOf(output, 'zone-2')).toBe('✖ zone-2 | Stopped | edge-c (Stopped) | – | – | –')
    const { value } = await runJson(bot, 'zone', 'list')
    expect(value['items']).toEqual([
      {
        name: 'zone-1',
        description: '',
        state: 'running',
        finding: null,
        stores: [
          { name: 'edge-a', state: 'running' },
          { name: 'edge-b', state: 'running' },
        ],
        images: 4,
        used: 800_000_000_000,
        available: 1_198_000_000_000,
      },
      {
        name: 'zone-2',
        description: '',
        state: 'stopped',
        finding: 'it has no healthy store: edge-c is Stopped',
        stores: [{ name: 'edge-c', state: 'stopped' }],
      },
    ])
  })

  test.each([
    ['store health', 'Health of all stores', ['edge-a', 'edge-b', 'edge-c']],
    ['store health all', 'Health of all stores', ['edge-a', 'edge-b', 'edge-c']],
    ['store health zone=zone-1', 'Health of zone zone-1', ['edge-a', 'edge-b']],
    ['store health zone=zone-2', 'Health of zone zone-2', ['edge-c']],
    ['store health edge-a', 'Health of edge-a', []],
  ])('%s is the %s', async (line, title, names) => {
    const { output } = await runCommand(bot, ...line.split(' '))
    expect(output.split('\n')[0]).toContain(title)
    for (const name of ['edge-a', 'edge-b', 'edge-c']) expect([name, rowOf(output, name) !== '']).toEqual([name, names.includes(name)])
  })

  test('the stopped one comes first in health', async () => {
    const { output } = await runCommand(bot, 'store', 'health')
    expect(output.indexOf('✖ edge-c')).toBeLessThan(output.indexOf('● edge-a'))
    expect((await runCommand(bot, 'store', 'health', 'zone=zone-1')).output).toContain('2 stores: all Running.\n')
  })

  test.each([
    ['store show', 1, 'There are 3 stores: edge-a, edge-b, edge-c.\n  Next  Write the name of one of them after the command.'],
    ['store show edge-x', 1, 'No store is called "edge-x".\n  Next  Did you mean edge-a?'],
    ['store show zzzzzzzz', 1, 'No store is called "zzzzzzzz".\n  Next  Registered: edge-a, edge-b, edge-c.'],
    ['store health zone=zone-9', 1, 'No store is in zone "zone-9".\n  Next  Zones: zone-1, zone-2.'],
    ['store list --help', 0, 'help store list\n'],
    ['store list -h', 0, 'help store list\n'],
  ])('%s ends with %d: %s', async (line, code, text) => {
    const run = await runCommand(bot, ...line.split(' '))
    expect(run.output).toContain(text)
    expect(run.code).toBe(code)
  })

  test('one is named by the first four characters of its id', async () => {
    const id = agents[0]?.store.id ?? ''
    expect((await runCommand(bot, 'store', 'show', id.slice(0, 8))).output).toContain('Store edge-a\n')
    expect((await runCommand(bot, 'store', 'show', id.slice(0, 3))).code).toBe(1)
  })

  test('a name or an address that is registered is refused', async () => {
    const [, b] = agents
    const add = (name: string) => runCommand(bot, 'store', 'add', `name=${name}`, `url=${b?.url}`, `token=${b?.token}`, 'zone=z')
    expect((await add('edge-b')).output).toContain(`A store edge-b is registered already, at ${b?.url}.`)
    expect((await add('edge-d')).code).toBe(1)
    expect((await runJson(bot, 'store', 'list')).value['items']).toHaveLength(3)
  })
})

describe('store edit', () => {
  test('changes the name at the agent and here, and the rest here alone', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    await using other = createMemoryAgent('edge-b')
    using bot = openTestBot(folder.path)
    await add(bot, agent, 'zone-1')
    await add(bot, other, 'zone-1')
    expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'zone=zone-7', 'provider=nfs')).code).toBe(0)
    expect(bot.fleet.registry.find('edge-a')).toMatchObject({ name: 'edge-a', zone: 'zone-7', provider: 'nfs' })
    expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'name=edge-z')).output).toContain('Store edge-z changed')
    expect(agent.store.name).toBe('edge-z')
    expect(bot.fleet.registry.list().map(({ name }) => name)).toEqual(['edge-b', 'edge-z'])
    expect(bot.fleet.registry.find('edge-z')).toMatchObject({ url: agent.url, zone: 'zone-7', provider: 'nfs' })

    expect((await runCommand(bot, 'store', 'edit', 'edge-z', 'name=edge-b')).output).toContain('A store edge-b is registered already.')
    const moved = await runCommand(bot, 'store', 'edit', 'edge-z', `url=${other.url}`, `token=${other.token}`)
    expect(moved.output).toContain(`Another store answers at this address: edge-b (${other.store.id}). Nothing was changed.`)
    expect((await runCommand(bot, 'store', 'edit', 'edge-z', 'token=wrong')).output).toContain('The connection test failed')
    expect(bot.fleet.registry.find('edge-z')).toMatchObject({ url: agent.url, token: agent.token })
    expect((await runCommand(bot, 'store', 'edit', 'edge-z', `url=${agent.url}/`)).code).toBe(0)
    expect((await runCommand(bot, 'store', 'edit', 'edge-z')).output).toContain('store edit needs something to change.')
  })
})

describe('images switched off', () => {
  test('in one store, and in all stores of a zone', async () => {
    await using folder = await createTemporaryFolder()
    const agents = ['edge-a', 'edge-b', 'edge-c'].map(createMemoryAgent)
    const [a, b, c] = agents
    if (!a || !b || !c) throw new Error('there are three agents')
    using bot = openTestBot(folder.path)
    await add(bot, a, 'zone-1')
    await add(bot, b, 'zone-1')
    await add(bot, c, 'zone-2')
    const off = await runCommand(bot, 'store', 'edit', 'edge-a', 'images=off')
    expect(off.output).toContain('switched off: new images are refused')
    expect(agents.map(({ store }) => store.imagesEnabled)).toEqual([false, undefined, undefined])
    expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'images=maybe')).output).toContain('images=maybe is not understood.')

    const zone = await runJson(bot, 'zone', 'edit', 'zone-1', 'images=off')
    expect(zone).toMatchObject({ code: 0, value: { zone: 'zone-1', imagesEnabled: false, changed: ['edge-a', 'edge-b'], missing: [] } })
    expect(agents.map(({ store }) => store.imagesEnabled)).toEqual([false, false, undefined])
    await b[Symbol.asyncDispose]()
    const some = await runJson(bot, 'zone', 'edit', 'zone-1', 'images=on')
    expect(some).toMatchObject({ code: 1, value: { changed: ['edge-a'], missing: [{ store: 'edge-b', state: 'stopped' }] } })
    expect((await runCommand(bot, 'zone', 'edit', 'zone-1')).output).toContain('zone edit needs something to change.')
    expect((await runCommand(bot, 'zone', 'edit', 'zone-9', 'images=on')).output).toContain('No store is in zone "zone-9".')
    await a[Symbol.asyncDispose]()
    await c[Symbol.asyncDispose]()
  })

  test('what the images use is shown by kind, the largest first', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    using bot = openTestBot(folder.path)
    agent.store = {
      ...agent.store,
      usage: {
        total: { count: 3, length: 6_000_000_000, storedSize: 2_100_000_000 },
        byKind: { iso: { count: 1, length: 1_000_000_000, storedSize: 900_000_000 }, template: { count: 2, length: 5_000_000_000, storedSize: 1_200_000_000 } },
      },
    }
    await add(bot, agent, 'zone-1')
    const { output } = await runCommand(bot, 'store', 'show', 'edge-a')
    const lines = output.split('\n').filter((line) => line.includes('Usage:'))
    expect(lines.map((line) => line.trim().replaceAll(/ {2,}/g, ' | '))).toEqual([
      'Usage: template | 2 images, 5.0 GB long, 1.2 GB stored',
      'Usage: iso | 1 image, 1.0 GB long, 900 MB stored',
    ])
    expect((await runJson(bot, 'store', 'show', 'edge-a')).value['usage']).toEqual(agent.store.usage ?? {})
  })
})

test('without a store the answer says how to add one', async () => {
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  expect((await runCommand(bot, 'store', 'show')).output).toContain('No store is registered.\n  Next  Add one: store add name=…')
  expect((await runCommand(bot, 'store', 'show', 'edge-a')).output).toContain('Next  Add it: store add name=…')
  expect((await runCommand(bot, 'store', 'health')).output).toContain('No store is registered.')
  expect((await runCommand(bot, 'zone', 'list')).output).toContain('No store is registered yet.')
})
