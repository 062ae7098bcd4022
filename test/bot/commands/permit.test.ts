// Roles in some stores only: which commands run, on which stores, and what help shows.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mayRun } from '../../../bot/commands/permit.ts'
import { roleOf } from '../../../bot/access/role-of.ts'
import type { RoleGrant } from '../../../bot/access/role-of.ts'
import type { CommandContext } from '../../../bot/commands/command.ts'
import { runLine } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
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
