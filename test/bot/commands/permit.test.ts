// Roles in some stores only: which commands run, on which stores, and what help shows.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mayRun, permit } from '../../../bot/commands/permit.ts'
import { roleOf } from '../../../bot/access/role-of.ts'
import type { RoleGrant } from '../../../bot/access/role-of.ts'
import type { CommandContext } from '../../../bot/commands/command.ts'
import { runLine } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { subject: 'user:UADA', zone: '', store: '', channel: '' }

/** Commands for which a role in single stores is enough, written by hand. Every other one needs its role for the whole fleet. */
const STORE_COMMANDS = [
  'alert ack',
  'alert silence',
  'alert unsilence',
  'approval approve',
  'approval cancel',
  'approval deny',
  'approval list',
  'approval show',
  'export delete',
  'export link',
  'grant list',
  'grant revoke',
  'host-key forget',
  'host-key list',
  'host-key show',
  'image add',
  'image bind',
  'image delete',
  'image edit',
  'image export',
  'image grant',
  'image link',
  'image migrate',
  'image protect',
  'image purge',
  'image restore',
  'image revoke',
  'image sync',
  'image unbind',
  'image unprotect',
  'image upload',
  'link list',
  'link revoke',
  'media-group add',
  'media-group delete',
  'media-group edit',
  'media-group list',
  'schedule edit',
  'schedule pause',
  'schedule resume',
  'schedule run',
  'store cleanup',
  'store disable',
  'store edit',
  'store enable',
  'store evidence',
  'store maintenance',
  'store reconcile',
  'store reconnect',
  'task cancel',
  'task pause',
  'task resume',
  'task retry',
  'token create',
  'token list',
  'token revoke',
  'token rotate',
  'upload cancel',
  'usage list',
]

/** A bot with edge-a in z1 and edge-b in z2, both in memory, and the context of somebody with these grants. */
async function start(...grants: RoleGrant[]) {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const bot = stack.use(openTestBot(folder.path))
  const agents = [stack.use(createMemoryAgent('edge-a')), stack.use(createMemoryAgent('edge-b'))]
  for (const [i, agent] of agents.entries())
    bot.fleet.registry.add(
      { name: i === 0 ? 'edge-a' : 'edge-b', url: agent.url, token: agent.token, zone: `z${i + 1}`, provider: 'local', storeId: agent.store.id },
      0,
    )
  const person = { user: 'UADA', groups: new Set<string>() }
  const context: CommandContext = bot.context(
    { id: 'UADA', name: 'ada', role: roleOf(grants, person, {}), roleIn: ({ name, zone }) => roleOf(grants, person, { zone, store: name }) },
    'slack',
  )
  const run = async (line: string): Promise<string> => {
    const { outcome, text } = await runLine(context, line)
    return `${outcome}: ${text}`
  }
  return { bot, agents, context, run, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('an operator of one zone', () => {
  test('acts on its stores, and is refused on others by name', async () => {
    await using it = await start({ ...ANY, role: 'operator', zone: 'z1' })
    const [a, b] = it.agents
    expect(await it.run('store disable edge-a')).toStartWith('done: ')
    expect(await it.run('store disable edge-b')).toBe('refused: store disable needs the role operator in edge-b; ada has viewer.')
    expect(await it.run('store disable EDGE-B')).toStartWith('refused: ')
    expect([a?.store.enabled, b?.store.enabled]).toEqual([false, true])
    expect(await it.run('image delete nothing store=edge-b')).toStartWith('refused: ')
    expect(await it.run('image sync nothing to=edge-a,edge-b')).toBe('refused: image sync needs the role operator in edge-b; ada has viewer.')
  })

  test('reaches no other store when none is named, or by another name', async () => {
    await using it = await start({ ...ANY, role: 'operator', zone: 'z1' })
    const [a, b] = it.agents
    // The only store in reach needs no name.
    expect(await it.run('store cleanup')).toStartWith('done: ')
    expect([a?.tasks.size, b?.tasks.size]).toEqual([1, 0])
    expect(await it.run(`store cleanup ${b?.store.id}`)).toStartWith('failed: No store is called')
    expect(b?.tasks.size).toBe(0)
    // Reads of viewers cover the whole fleet.
    expect((await runLine(it.context, 'store list')).rows).toHaveLength(2)
  })

  test('may not do what concerns the whole fleet, or needs a higher role', async () => {
    await using it = await start({ ...ANY, role: 'operator', zone: 'z1' })
    for (const line of [
      'audit list',
      'policy show x',
      'store add name=x url=http://127.0.0.1:1 token=t zone=z1',
      'store delete edge-a',
      'role grant admin user=UADA',
      'store edit edge-a zone=z2',
      'token create name=x role=admin store=edge-a',
    ])
      expect(await it.run(line)).toStartWith('refused: ')
  })

  test('may not rename a store over, or reach, a store of another zone as an admin of the zone', async () => {
    await using it = await start({ ...ANY, role: 'admin', zone: 'z1' })
    expect(await it.run('store edit edge-a name=edge-b')).toMatch(/^(?:failed|refused): /)
    expect(it.bot.fleet.registry.list().map(({ name, zone }) => `${name} ${zone}`)).toEqual(['edge-a z1', 'edge-b z2'])
    expect(await it.run('store delete edge-a --confirm edge-a')).toStartWith('refused: ')
    expect(await it.run('role list')).toStartWith('done: ')
  })

  test('sees in tasks of its stores what operators see, and not in those of others', async () => {
    await using it = await start({ ...ANY, role: 'operator', zone: 'z1' })
    for (const agent of it.agents)
      agent.tasks.set('tsk_1', {
        id: 'tsk_1',
        kind: 'import',
        state: 'running',
        progress: { done: 0, total: 1, unit: 'bytes', rate: 0, etaSeconds: null },
        subject: 'secret-image',
        createdBy: 'x',
        createdAt: '2026-01-01T00:00:00.000Z',
        endedAt: null,
      })
    const rows = (await runLine(it.context, 'task list')).rows.map(({ cells }) => `${cells['store']} ${cells['subject']}`)
    expect(rows.toSorted()).toEqual(['edge-a secret-image', 'edge-b –'])
  })
})

describe('the registry that a command of an operator of one zone gets', () => {
  /** Calls something of the narrowed registry: what it returns, or its refusal. */
  async function called(call: (registry: CommandContext['fleet']['registry']) => unknown) {
    await using it = await start({ ...ANY, role: 'operator', zone: 'z1' })
    const command = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}` === 'store disable')
    if (!command) throw new Error('there is no command store disable')
    const permission = permit(it.context, command, { targets: [], options: {}, flags: new Set(), confirm: [], plan: undefined })
    if (permission.kind !== 'permitted') throw new Error('the command is refused')
    const names = (): string[] => it.bot.fleet.registry.list().map(({ name, zone }) => `${name} ${zone}`)
    try {
      return { returned: call(permission.context.fleet.registry), names: names() }
    } catch (error) {
      const { code, problem } = error as ProblemError
      return { code, detail: problem.detail, names: names() }
    }
  }
  const names = ['edge-a z1', 'edge-b z2']
  const refused = { code: 'forbidden' as const, detail: 'store disable needs the role operator in edge-b; ada has viewer.', names }

  test('lists and finds the stores of the zone', async () => {
    expect(await called((registry) => registry.list().map(({ name }) => name))).toEqual({ returned: ['edge-a'], names })
    expect(await called((registry) => registry.places().map(({ name }) => name))).toEqual({ returned: ['edge-a'], names })
    expect(await called((registry) => registry.find('edge-a')?.zone)).toEqual({ returned: 'z1', names })
    expect(await called((registry) => registry.find('edge-c'))).toEqual({ returned: undefined, names })
  })

  test.each<[string, (registry: CommandContext['fleet']['registry']) => unknown]>([
    ['find', (registry) => registry.find('edge-b')],
    ['find, however it is spelled', (registry) => registry.find('EDGE-B')],
    ['change', (registry) => registry.change('edge-b', { zone: 'z1' })],
    ['remove', (registry) => registry.remove('edge-b')],
  ])('refuses a store of another zone: %s', async (_what, call) => {
    expect(await called(call)).toEqual(refused)
  })

  test('changes and removes a store of the zone, and adds none', async () => {
    const changed = await called((registry) => registry.change('edge-a', { zone: 'z3' }))
    expect(changed).toMatchObject({ returned: { name: 'edge-a', zone: 'z3' }, names: ['edge-a z3', 'edge-b z2'] })
    expect((await called((registry) => registry.remove('edge-a'))).names).toEqual(['edge-b z2'])
    const store = { name: 'edge-c', url: 'http://127.0.0.1:1', token: 't', zone: 'z1', provider: 'local', storeId: 'c' } as const
    expect(await called((registry) => registry.add(store, 0))).toEqual({
      code: 'forbidden',
      detail: 'Adding edge-c needs the role admin for the whole fleet.',
      names,
    })
  })
})

describe('help', () => {
  test.each<[string, RoleGrant[], readonly string[], readonly string[]]>([
    ['nobody', [], ['store list', 'help', 'role claim'], ['store enable', 'image upload', 'role grant', 'audit list']],
    ['an uploader of a store', [{ ...ANY, role: 'uploader', store: 'edge-b' }], ['image upload', 'image add', 'export link'], ['store enable', 'audit list']],
    ['an operator of a zone', [{ ...ANY, role: 'operator', zone: 'z1' }], ['store enable', 'image delete'], ['audit list', 'policy run', 'token list']],
    ['an operator of a zone that is gone', [{ ...ANY, role: 'operator', zone: 'z9' }], ['store list'], ['store enable', 'image upload']],
    ['an operator', [{ ...ANY, role: 'operator' }], ['store enable', 'audit list', 'policy run'], ['token list', 'role grant']],
    ['an admin', [{ ...ANY, role: 'admin' }], ['token list', 'role grant', 'store add'], []],
  ])('for %s shows what they may do', async (_who, grants, shown, hidden) => {
    await using it = await start(...grants)
    const items = ((await runLine(it.context, 'help')).json as { items: { noun: string; verb: string }[] }).items.map(({ noun, verb }) =>
      `${noun} ${verb}`.trim(),
    )
    for (const name of shown) expect(items).toContain(name)
    for (const name of hidden) expect(items).not.toContain(name)
  })

  test('for an admin of single stores shows the store commands and those of viewers', async () => {
    await using it = await start({ ...ANY, role: 'admin', store: 'edge-a' })
    const beyondViewers = COMMANDS.filter((command) => command.role !== 'viewer' && mayRun(it.context, command)).map(({ noun, verb }) => `${noun} ${verb}`)
    expect(beyondViewers.toSorted()).toEqual(STORE_COMMANDS)
  })
})
