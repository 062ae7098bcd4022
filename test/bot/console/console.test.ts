// The console against a real agent: commands, lines of a pipe, exit codes, and an upload that resumes.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createFileSender } from '../../../bot/console/send-file.ts'
import { renderJson } from '../../../bot/views/json.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { runLine } from '../../../bot/commands/run.ts'
import { renderMessage } from '../../../bot/views/blocks.ts'
import { renderTerminal } from '../../../bot/views/terminal.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson, runLines } from '../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let folder: TemporaryFolder
let agent: AgentProcess
let bot: OpenBot

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  bot = openTestBot(folder.file('home'))
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
})

afterAll(async () => {
  bot[Symbol.dispose]()
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function makeFile(name: string, length: number): Promise<string> {
  const path = folder.file(name)
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65_536)))
  await Bun.write(path, bytes)
  return path
}

describe('store add', () => {
  test.each([
    ['url=ftp://x', 'token=x', 'URL'],
    ['url=http://127.0.0.1:1', 'token=x', 'TCP'],
  ])('%s %s fails at the %s and registers nothing', async (url, token, step) => {
    const { code, value } = await runJson(bot, 'store', 'add', 'name=other', url, token, 'zone=z')
    expect(code).toBe(1)
    expect(value['error']).toMatchObject({ step })
    expect(bot.fleet.registry.find('other')).toBeUndefined()
  })

  test('distinguishes a wrong token from a server that is not an agent', async () => {
    const wrong = await runJson(bot, 'store', 'add', 'name=other', `url=${agent.url}`, 'token=wrong', 'zone=z')
    expect(wrong.value['error']).toMatchObject({ step: 'token' })
    await using other = Bun.serve({ port: 0, fetch: () => new Response('hello') })
    const none = await runJson(bot, 'store', 'add', 'name=other', `url=${other.url.href}`, 'token=x', 'zone=z')
    expect(none.value['error']).toMatchObject({ step: 'agent' })
  })

  test('refuses the same store under another name', async () => {
    const { code, output } = await runCommand(bot, 'store', 'add', 'name=other', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=z')
    expect(code).toBe(1)
    expect(output).toContain('registered already, as edge-a')
  })

  test('asks for what is missing, with exit code 2', async () => {
    expect(await runCommand(bot, 'store', 'add', 'name=other')).toMatchObject({ code: 2, output: expect.stringContaining('needs url=, token=, zone=') })
  })
})

describe('lines of a pipe', () => {
  test('are run one by one and end with the worst exit code', async () => {
    expect((await runLines(bot, 'store list\n\n# a comment\nimage list\n')).code).toBe(0)
    expect((await runLines(bot, 'store list\nstore show nothing\n')).code).toBe(1)
    const worst = await runLines(bot, 'stor list\nstore show nothing\nzone list\n')
    expect(worst.code).toBe(2)
    expect(worst.output).toContain('Zones')
  })
})

describe('image', () => {
  test('upload, show, delete with its name, bin, restore', async () => {
    const path = await makeFile('first.raw', 3_000_000)
    const uploaded = await runJson(bot, 'image', 'upload', path, 'name=first', 'owner=web')
    expect(uploaded).toMatchObject({ code: 0, value: { name: 'first', status: 'available', length: 3_000_000, owner: 'web', store: 'edge-a' } })
    expect((await runJson(bot, 'image', 'list', 'owner=web')).value['items']).toHaveLength(1)

    const refused = await runJson(bot, 'image', 'delete', 'first')
    expect(refused).toMatchObject({ code: 1, value: { confirm: 'first', blocked: false } })
    expect((await runCommand(bot, 'image', 'delete', 'first', '--confirm', 'frist')).code).toBe(1)
    expect((await runCommand(bot, 'image', 'delete', 'first', '--confirm', 'first')).code).toBe(0)
    expect((await runJson(bot, 'image', 'bin')).value['items']).toMatchObject([{ name: 'first', status: 'deleted' }])
    expect((await runCommand(bot, 'image', 'restore', 'first')).code).toBe(0)
    expect((await runJson(bot, 'image', 'show', 'first')).value).toMatchObject({ status: 'available' })
  })

  test('a protected image is not deleted, and the answer says what to do', async () => {
    const path = await makeFile('kept.raw', 100_000)
    await runCommand(bot, 'image', 'upload', path, 'name=kept')
    expect((await runCommand(bot, 'image', 'protect', 'kept')).code).toBe(0)
    const { code, output } = await runCommand(bot, 'image', 'delete', 'kept', '--confirm', 'kept')
    expect(code).toBe(1)
    expect(output).toContain('image unprotect')
  })

  test('an interrupted upload resumes at the offset of the store', async () => {
    const path = await makeFile('cut.raw', 40_000_000)
    const sender = createFileSender(bot.database, bot.clock)
    const cut = new AbortController()
    const { cutter } = await agent.client.store.get()
    const order = { path, url: agent.url, token: TEST_ADMIN_TOKEN, metadata: { filename: 'cut.raw', name: 'cut' }, cutter }
    // More than the buffers between client and agent hold: some of it has arrived.
    const first = sender.send({ ...order, signal: cut.signal, onProgress: (sent) => sent > 30_000_000 && cut.abort(new Error('cut')) })
    await expect(first).rejects.toThrow('cut')
    await first.catch(() => {})
    const { output } = await runCommand(bot, 'image', 'upload', path, 'name=cut')
    expect(output).toContain('Resumed at ')
    const { value } = await runJson(bot, 'image', 'show', 'cut')
    expect(value).toMatchObject({ status: 'available', length: 40_000_000 })
    const content = await fetch(`${agent.url}/v1/images/${String(value['id'])}/content`, { headers: agent.headers() })
    expect(Bun.SHA256.hash(await content.bytes(), 'hex')).toBe(Bun.SHA256.hash(await Bun.file(path).bytes(), 'hex'))
  })

  test('a path that is not a file is refused before anything is sent', async () => {
    expect(await runCommand(bot, 'image', 'upload', folder.file('nothing.raw'))).toMatchObject({ code: 1, output: expect.stringContaining('Check the path') })
    expect(await runCommand(bot, 'image', 'upload', folder.path)).toMatchObject({ code: 1, output: expect.stringContaining('is not a file') })
  })

  test('without a path a link is returned, and the audit log does not contain it', async () => {
    const { code, value } = await runJson(bot, 'image', 'upload', 'name=by-link', 'for=10m', 'max=1GB')
    expect(code).toBe(0)
    expect(String(value['url'])).toContain('/v1/uploads')
    expect((await runCommand(bot, 'audit')).output).not.toContain(String(value['url']))
  })
})

describe('store cleanup and schedules', () => {
  test('cleanup is followed until it ends', async () => {
    const { code, value } = await runJson(bot, 'store', 'cleanup')
    expect(code).toBe(0)
    expect(value).toMatchObject({ kind: 'cleanup', state: 'succeeded', store: 'edge-a' })
    expect((await runJson(bot, 'task', 'show', String(value['id']).slice(-8))).value).toMatchObject({ id: value['id'] })
  })

  test('a schedule is changed, paused, resumed and run', async () => {
    expect((await runJson(bot, 'schedule', 'edit', 'cleanup', '5 4 * * *')).value).toMatchObject({ cron: '5 4 * * *' })
    expect((await runJson(bot, 'schedule', 'pause', 'edge-a', 'cleanup')).value).toMatchObject({ paused: true })
    expect((await runJson(bot, 'schedule', 'resume', 'edge-a', 'cleanup')).value).toMatchObject({ paused: false })
    expect((await runJson(bot, 'schedule', 'run', 'expire')).value).toMatchObject({ state: 'succeeded' })
    expect((await runCommand(bot, 'schedule', 'edit', 'cleanup', 'whenever')).code).toBe(1)
  })
})

describe('store', () => {
  test('refuses uploads while it is disabled, and says why', async () => {
    expect((await runJson(bot, 'store', 'disable', 'edge-a', 'reason=disk is being replaced')).value).toMatchObject({ enabled: false })
    const path = await makeFile('late.raw', 1000)
    expect(await runCommand(bot, 'image', 'upload', path)).toMatchObject({ code: 1, output: expect.stringContaining('disk is being replaced') })
    expect((await runJson(bot, 'store', 'enable', 'edge-a')).value).toMatchObject({ enabled: true })
  })

  test('browse lists the mount path and refuses to leave it', async () => {
    expect((await runJson(bot, 'store', 'browse', 'edge-a')).value['items']).toContainEqual(expect.objectContaining({ name: 'images', kind: 'folder' }))
    expect((await runCommand(bot, 'store', 'browse', 'edge-a', '../..')).code).toBe(1)
  })
})

describe('renderers', () => {
  const script = [
    'store list',
    'store show edge-a',
    'store health',
    'image list',
    'image bin',
    'task list',
    'schedule list',
    'zone list',
    'image show first',
    'store show nothing',
    'stor lst',
  ]

  test.each(script)('"%s" has the same facts in the terminal, in Slack and in JSON', async (line) => {
    const context = { ...bot.context({ name: 'tester', role: 'admin' }, 'console'), commands: COMMANDS }
    const view = await runLine(context, line)
    const terminal = renderTerminal(view, { width: undefined, color: false, nowMs: view.asOfMs })
    const pages = Array.from({ length: 5 }, (_, page) =>
      visibleText({ blocks: renderMessage(view, { nowMs: view.asOfMs, page, command: line }).blocks as never }),
    ).join('\n')
    const facts = [
      view.title,
      view.text,
      ...view.fields.map(({ value }) => value),
      ...view.rows.flatMap(({ cells }) => view.columns.map(({ key }) => cells[key] ?? '')),
    ]
    for (const fact of facts.filter((one) => one !== '' && one !== '–')) {
      expect(terminal).toContain(fact)
      expect(pages).toContain(fact)
    }
    const json = JSON.parse(renderJson(view)) as { asOf: string; items?: { name?: string; id?: string }[] }
    expect(Date.parse(json.asOf)).toBe(view.asOfMs)
    if (json.items) expect(json.items).toHaveLength(view.rows.length)
    for (const item of json.items ?? []) expect(terminal).toContain(item.name ?? item.id ?? '')
  })
})
