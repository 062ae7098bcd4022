// The commands of sync policies, with three real agents.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../bot/open.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../../support/agents/agent-process.ts'
import { uploadedImage } from '../../../support/agents/uploaded-image.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const stack = new AsyncDisposableStack()
let bot: OpenBot
const agents: AgentProcess[] = []
function agentOf(store: string): AgentProcess {
  const agent = agents[['hub', 'edge-a', 'edge-b'].indexOf(store)]
  if (!agent) throw new Error(`${store} was not started`)
  return agent
}

beforeAll(async () => {
  const home = stack.use(await createTemporaryFolder())
  bot = stack.use(openTestBot(home.path))
  for (const [name, zone] of [
    ['hub', 'zone-0'],
    ['edge-a', 'zone-1'],
    ['edge-b', 'zone-1'],
  ] as const) {
    // prettier-ignore
    const folder = stack.use(await createTemporaryFolder())
    const agent = stack.use(await startAgent(folder.path))
    agents.push(agent)
    bot.fleet.registry.add({ name, url: agent.url, token: TEST_ADMIN_TOKEN, zone, provider: 'local', storeId: null }, bot.clock.nowMs())
  }
  const id = await uploadedImage(agentOf('hub'), 'debian', 1)
  await uploadedImage(agentOf('hub'), 'private', 2)
  await agentOf('hub').client.images.patch(id, { labels: { env: 'production' } })
})
afterAll(() => stack.disposeAsync())

const namesIn = async (store: string): Promise<string[]> => (await agentOf(store).client.images.list()).items.map(({ name }) => name).toSorted()

test('add shows the plan and copies nothing; run copies; a second run has nothing to copy', async () => {
  const added = await runJson(bot, 'policy', 'add', 'two', 'keep=2', 'zone=zone-1', 'label=env=production')
  expect(added).toMatchObject({
    code: 0,
    value: { name: 'two', keep: 2, zone: 'zone-1', label: 'env=production', state: 'waiting', plan: { images: 1, findings: [] } },
  })
  expect((added.value['plan'] as { copies: { image: string; store: string }[] }).copies.map(({ image, store }) => `${image} ${store}`).toSorted()).toEqual([
    'debian edge-a',
    'debian edge-b',
  ])
  expect(await namesIn('edge-a')).toEqual([])

  const dry = await runJson(bot, 'policy', 'run', 'two', 'dry-run=true')
  expect(dry).toMatchObject({ code: 0, value: { plan: { copies: [{ image: 'debian' }, { image: 'debian' }] }, runs: [] } })
  const ran = await runJson(bot, 'policy', 'run', 'two')
  expect(ran).toMatchObject({
    code: 0,
    value: {
      items: [
        { kind: 'sync', state: 'succeeded' },
        { kind: 'sync', state: 'succeeded' },
      ],
    },
  })
  expect([await namesIn('edge-a'), await namesIn('edge-b')]).toEqual([['debian'], ['debian']])

  const list = await runJson(bot, 'policy', 'list')
  expect(list.value['items']).toMatchObject([{ name: 'two', state: 'waiting', lastRun: { outcome: 'succeeded', result: '2 copies of images made.' } }])
  expect(await runJson(bot, 'policy', 'run', 'two')).toMatchObject({ code: 0, value: { outcome: 'succeeded', result: 'Nothing to copy.' } })
  const audited = bot.audit.list({ target: 'two', limit: 10 }).map(({ command, outcome, detail }) => [command, outcome, detail])
  expect(audited).toContainEqual(['policy run two', 'done', '2 copies of images made'])
})

test('a copy beyond the number is removed only when an admin has typed the name, and goes to the recycle bin', async () => {
  expect((await runJson(bot, 'policy', 'edit', 'two', 'keep=1')).value['plan']).toMatchObject({ copies: [], removals: [] })
  expect(await runJson(bot, 'policy', 'run', 'two')).toMatchObject({ code: 0 })
  expect([await namesIn('edge-a'), await namesIn('edge-b')]).toEqual([['debian'], ['debian']])
  const operator = await runLine(bot.context({ name: 'op', role: 'operator' }, 'console'), 'policy run two --removes --confirm two')
  expect(operator).toMatchObject({ outcome: 'failed', text: 'Removing copies needs the role admin; op has operator.' })

  const asked = await runJson(bot, 'policy', 'run', 'two', 'removes=true')
  expect(asked).toMatchObject({
    code: 1,
    value: { confirm: 'two', question: expect.stringMatching(/^1 copy of an image would be removed: debian in edge-[ab] \(stays in/) },
  })
  expect((await runCommand(bot, 'policy', 'run', 'two', '--removes', '--confirm', 'other')).code).toBe(1)
  const removed = await runJson(bot, 'policy', 'run', 'two', '--removes', '--confirm', 'two')
  expect(removed).toMatchObject({ code: 0, value: { removed: 1, outcome: 'succeeded', result: '1 copy of an image removed.' } })
  expect([...(await namesIn('edge-a')), ...(await namesIn('edge-b'))]).toEqual(['debian'])
  expect(await namesIn('hub')).toEqual(['debian', 'private'])
  const bins = await Promise.all(['edge-a', 'edge-b'].map(async (name) => (await agentOf(name).client.images.list({ status: 'deleted' })).items))
  expect(bins.flat().map(({ name }) => name)).toEqual(['debian'])
  expect(bot.audit.list({ target: 'edge-', limit: 10 })[0]?.detail).toMatch(/^Removed the copy of debian in edge-[ab]$/)
})

test('a policy that cannot be met fails with the reason and the next step, which viewers do not see', async () => {
  expect(await runJson(bot, 'policy', 'edit', 'two', 'keep=3')).toMatchObject({ code: 0, value: { plan: { findings: [{ kind: 'unmet' }] } } })
  await runJson(bot, 'policy', 'run', 'two')
  const { output } = await runCommand(bot, 'policy', 'list')
  expect(output).toContain('two failed: 1 copy of an image made; not met: 1 of 3 copies of debian cannot be made: zone zone-1 has only 2 stores')
  expect(output).toContain('Add a store to zone zone-1, or lower copies= with policy edit two')
  const seen = await runLine(bot.context({ name: 'v', role: 'viewer' }, 'console'), 'policy list')
  expect(JSON.stringify(seen)).not.toContain('debian')
  expect(seen.json).toMatchObject({ items: [{ state: 'failed', lastRun: { result: 'Failed; an operator sees why.' } }] })
})

test('pause, resume, rename and delete', async () => {
  expect(await runJson(bot, 'policy', 'pause', 'two')).toMatchObject({ code: 0, value: { paused: true, nextRunAt: null } })
  expect(await runJson(bot, 'policy', 'resume', 'two')).toMatchObject({ code: 0, value: { paused: false, nextRunAt: expect.any(String) } })
  expect(await runJson(bot, 'policy', 'edit', 'two', 'name=three', 'label=', 'zone=')).toMatchObject({ value: { name: 'three', label: '', keep: 3 } })
  expect((await runJson(bot, 'policy', 'show', 'three')).value).toMatchObject({ runs: [{ outcome: 'failed' }, {}, {}, {}, {}], plan: { images: 2 } })
  expect((await runCommand(bot, 'policy', 'delete', 'three')).code).toBe(1)
  expect(await runJson(bot, 'policy', 'delete', 'three', '--confirm', 'three')).toMatchObject({ code: 0, value: { deleted: 'three' } })
  expect((await runJson(bot, 'policy', 'list')).value['items']).toEqual([])
})

test.each([
  ['policy add p', 'needs keep= or follow='],
  ['policy add p keep=1 follow=hub', 'Use either keep= or follow='],
  ['policy add p keep=17', 'Write a number from 1 to 16'],
  ['policy add p keep=0', 'Write a number from 1 to 16'],
  ['policy add "a b" keep=1', 'cannot be the name of a policy'],
  ['policy add p keep=1 store=hub zone=zone-1', 'Use either store= or zone='],
  ['policy add p keep=2 store=hub', 'hub is one store and cannot have 2 copies'],
  ['policy add p follow=hub store=hub', 'hub cannot follow itself'],
  ['policy add p follow=hbu', 'Did you mean hub?'],
  ['policy add p keep=1 zone=zone-9', 'No store is in zone "zone-9"'],
  ['policy add p keep=1 kind=tmplate', 'Did you mean kind=template?'],
  ['policy add p keep=1 label=-x', 'is not a list of labels'],
  ['policy add p keep=1 cron="* * * *"', 'it must have five fields'],
  ['policy add p keep=1 cron="0 0 31 2 *"', 'it never fires'],
  ['policy add p keep=1 timezone=Nowhere/Else', 'cannot be used'],
  ['policy add p keep=1 grace=31d', 'is not a duration of at most 30 days'],
  ['policy show p', 'There is no policy "p"'],
  ['policy run p', 'There is no policy "p"'],
])('%s is refused: %s', async (line, reason) => {
  const view = await runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), line)
  expect(view.outcome).toBe('failed')
  expect(`${view.text} ${view.fields.map(({ value }) => value).join(' ')}`).toContain(reason)
})
