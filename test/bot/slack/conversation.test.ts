// Writes, buttons, modals and roles in Slack, over Socket Mode.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { until } from '../../support/until.ts'
import { runCommand } from '../fixture.ts'
import { ADMIN, seen, startSlackBot as start } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

describe('reads', () => {
  test('are shown to the person who asked, unless shared', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store list')
    expect((await seen(it.slack, 'response')).inChannel).toBe(false)
    await it.slack.command('/slipway', 'store list —share')
    expect((await seen(it.slack, 'response', 2)).inChannel).toBe(true)
    expect(it.slack.failures).toEqual([])
  })

  test('a mistyped command is answered with a button for the command that was meant', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'stor list')
    const unclear = await seen(it.slack, 'response')
    expect(visibleText(unclear)).toContain('Did you mean store?')
    await it.slack.press(unclear, 'store list')
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('edge-a')
  })

  test('long lists have pages with buttons', async () => {
    await using it = await start()
    const { registry } = it.bot.fleet
    for (let i = 0; i < 40; i++) registry.add({ name: `far-${i}`, url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-2', provider: 'local', storeId: null }, 0)
    await it.slack.command('/slipway', 'store list zone=zone-2')
    const first = await seen(it.slack, 'response')
    expect(visibleText(first)).toContain('page 1 of 3')
    await it.slack.press(first, 'Next')
    const second = await seen(it.slack, 'response', 2)
    expect(visibleText(second)).toContain('page 2 of 3')
    await it.slack.press(second, 'Next')
    const third = await seen(it.slack, 'response', 3)
    const names = [first, second, third].flatMap((page) => visibleText(page).match(/\*far-\d+\*/g) ?? [])
    expect(new Set(names).size).toBe(40)
    expect(it.slack.failures).toEqual([])
  })
})

describe('writes', () => {
  test('post one card that is edited until the task ends', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
    const card = await seen(it.slack, 'post')
    expect(visibleText(card)).toContain('queued')
    const [task] = it.agent.tasks.values()
    if (!task) throw new Error('no task was started')
    it.agent.tasks.set(task.id, { ...task, state: 'running', progress: { ...task.progress, done: 40, rate: 10, etaSeconds: 6 } })
    const moved = await seen(it.slack, 'update')
    expect(visibleText(moved)).toContain('40 of 100 slices (40 %)')
    it.agent.tasks.set(task.id, { ...task, state: 'succeeded', endedAt: '2026-01-01T00:01:00.000Z', progress: { ...task.progress, done: 100 } })
    const end = await until('the end', () => it.slack.shown.findLast((shown) => shown.kind === 'update' && visibleText(shown).includes('succeeded')))
    expect(end.ts).toBe(card.ts)
    expect(it.slack.shown.filter(({ kind }) => kind === 'post')).toHaveLength(1)
    const edits = it.slack.shown.filter(({ kind }) => kind === 'update').map(({ atMs }) => atMs)
    for (const [i, at] of edits.entries()) if (i > 0) expect(at - (edits[i - 1] ?? 0)).toBeGreaterThan(2_900)
    expect(it.slack.failures).toEqual([])
  })

  test('an unfinished card is finished by the next run of the bot', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
    const card = await seen(it.slack, 'post')
    await it.connection[Symbol.asyncDispose]()
    const [task] = it.agent.tasks.values()
    if (!task) throw new Error('no task was started')
    it.agent.tasks.set(task.id, { ...task, state: 'succeeded', endedAt: '2026-01-01T00:01:00.000Z' })
    await using _again = await it.connect()
    const end = await seen(it.slack, 'update')
    expect(end.ts).toBe(card.ts)
    expect(visibleText(end)).toContain('succeeded')
  })

  test('go to the person who asked when the bot may not post', async () => {
    await using it = await start({ closedChannels: ['C1'] })
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
    expect((await seen(it.slack, 'post')).channel).toBe('UOPER')
  })

  test('need their role, when typed and when pressed', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store cleanup edge-a')
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER' })
    await it.slack.press(await seen(it.slack, 'post'), 'Cancel')
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    expect(it.agent.tasks.size).toBe(1)
  })
})

describe('destructive commands', () => {
  test('ask for the name in a modal, and do nothing for another name', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
    const view = modal.view ?? {}
    const wrong = await it.slack.submit(view, { name: 'edge-b' }, ADMIN)
    expect(wrong.body).toMatchObject({ response_action: 'errors' })
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
    await it.slack.submit(view, { name: 'edge-a' }, ADMIN)
    const card = await seen(it.slack, 'post')
    expect(visibleText(card)).toContain('Removed edge-a')
    expect(it.bot.fleet.registry.find('edge-a')).toBeUndefined()
    expect(it.slack.failures).toEqual([])
  })

  test('that destroy with a flag only ask for no name without it', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'policy add p keep=1', ADMIN)
    await seen(it.slack, 'post')
    await it.slack.command('/slipway', 'policy run p', ADMIN)
    const card = await until('the run', () => it.slack.shown.find((shown) => shown.kind === 'post' && visibleText(shown).includes('Run of p')))
    expect(visibleText(card)).toContain('Nothing to copy.')
    expect(it.slack.shown.some(({ kind }) => kind === 'modal')).toBe(false)
    expect(it.slack.failures).toEqual([])
  })

  test('are not executed when the plan has changed, although the name was typed and nothing blocks it', async () => {
    await using it = await start()
    it.agent.images.push(memoryImage({ name: 'debian' }))
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
    // An instance begins to use an image: every check still passes, but the question did not name the instance.
    it.agent.images[0] = memoryImage({ name: 'debian', bindings: ['vm-7'] })
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    const refused = visibleText(await seen(it.slack, 'ephemeral'))
    expect(refused).toContain('The plan has changed since the name was typed. Nothing was changed: check it and confirm again.')
    expect(refused).toContain('debian by vm-7')
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
    expect(it.slack.failures).toEqual([])
  })

  test('are executed when the plan is the one that was shown', async () => {
    await using it = await start()
    it.agent.images.push(memoryImage({ name: 'debian', bindings: ['vm-7'] }))
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
    // Another instance of the same image changes the words of a check and not the plan.
    it.agent.images[0] = memoryImage({ name: 'debian', bindings: ['vm-7', 'vm-8'] })
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    expect(visibleText(await seen(it.slack, 'post'))).toContain('Removed edge-a')
    expect(it.bot.fleet.registry.find('edge-a')).toBeUndefined()
  })

  test('are refused when something has begun to block them, although the name was typed', async () => {
    await using it = await start()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
    await runCommand(it.bot, 'store', 'cleanup', 'edge-a', '--no-wait')
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    expect(visibleText(await seen(it.slack, 'ephemeral'))).toContain('Not possible now')
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test('show a checklist instead of a question when something blocks', async () => {
    await using it = await start()
    await runCommand(it.bot, 'store', 'cleanup', 'edge-a', '--no-wait')
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await until('the checklist', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Not possible now')))
    expect(visibleText(modal)).toContain('Tasks in edge-a')
  })
})

describe('image purge', () => {
  test('asks for the name of the store in a modal, and posts a card with a button for the cleanup', async () => {
    await using it = await start()
    await using folder = await createTemporaryFolder()
    await using images = await openImageStore(folder)
    await using server = await serveImages(images)
    it.bot.fleet.registry.add({ name: 'edge-b', url: server.url, token: 'operator', zone: 'zone-2', provider: 'local', storeId: STORE_ID }, 0)
    const { id } = await images.add(seededBytes(20_000, 1), { name: 'disk' })
    await server.client.images.delete(id)

    await it.slack.command('/image', 'purge --bin store=edge-b', { user: 'UOPER' })
    const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-b')))
    expect(visibleText(modal)).toContain('1 image in the recycle bin of edge-b')
    expect(visibleText(modal)).toContain('could not be restored')
    await it.slack.submit(modal.view ?? {}, { name: 'edge-b' }, { user: 'UOPER' })
    const card = await seen(it.slack, 'post')
    expect(visibleText(card)).toContain('Deleted for good: disk. The space is free after store cleanup edge-b.')
    expect(visibleText(card)).toContain('Clean up edge-b')
    expect((await server.client.images.list({ status: 'deleted' })).items).toEqual([])
    expect(it.slack.failures).toEqual([])
  })

  test('needs the role operator', async () => {
    await using it = await start()
    await it.slack.command('/image', 'purge --bin store=edge-a')
    expect(visibleText(await seen(it.slack, 'response'))).toContain('image purge needs the role operator')
  })
})

describe('forms', () => {
  test('store add asks for its options in a modal, and never shows the token', async () => {
    await using it = await start()
    await using other = createMemoryAgent('edge-b')
    await it.slack.command('/store', 'add', ADMIN)
    const form = await seen(it.slack, 'modal')
    await it.slack.submit(form.view ?? {}, { name: 'edge-b', url: other.url, token: other.token, zone: 'zone-2', provider: '' }, ADMIN)
    const done = await until('the answer', () => it.slack.shown.find((shown) => shown.kind === 'post' && visibleText(shown).includes('Store edge-b added')))
    expect(visibleText(done)).toContain('Running')
    expect(it.bot.fleet.registry.find('edge-b')).toMatchObject({ url: other.url, zone: 'zone-2', provider: 'local' })
    expect(JSON.stringify(it.slack.shown)).not.toContain(other.token)
    expect(it.slack.failures).toEqual([])
  })
})

describe('connection', () => {
  test('is reopened after Slack asks for it and after it was lost', async () => {
    await using it = await start()
    it.slack.drop()
    await until(
      'the bot is connected again',
      () => it.slack.socketCount === 1 && it.slack.calls.filter((call) => call === 'apps.connections.open').length === 2,
    )
    await it.slack.command('/slipway', 'help')
    await seen(it.slack, 'response')
  })

  test('wrong credentials end the start with one sentence', async () => {
    await using it = await start({ botToken: 'xoxb-other' }).catch((error: unknown) => ({ error, [Symbol.asyncDispose]: () => Promise.resolve() }))
    expect('error' in it ? String(it.error) : 'connected').toContain('Slack refuses')
  })
})
