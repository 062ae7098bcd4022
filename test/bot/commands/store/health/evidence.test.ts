// store evidence: the archive of the agent, and that of the bot where the agent gives none. Health offers it as a next step.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdir, stat } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { runLine } from '../../../../../bot/commands/run.ts'
import type { OpenBot } from '../../../../../bot/open.ts'
import { createEvidenceFiles } from '../../../../../bot/system/evidence-files.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

let folder: TemporaryFolder
let agent: AgentProcess
let bot: OpenBot

const DEAD_TOKEN = 'token-of-the-dead-store-0123456789'

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  bot = openTestBot(`${folder.path}/home`)
  const common = { zone: 'zone-1', provider: 'local', storeId: null }
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, ...common }, 0)
  bot.fleet.registry.add({ name: 'edge-dead', url: 'http://127.0.0.1:1', token: DEAD_TOKEN, ...common }, 0)
})

afterAll(async () => {
  bot[Symbol.dispose]()
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function filesOf(path: string): Promise<Map<string, string>> {
  const files = await new Bun.Archive(await Bun.file(path).bytes()).files()
  return new Map(await Promise.all([...files].map(async ([name, file]) => [name, await file.text()] as const)))
}

describe('store evidence in the console', () => {
  test('writes the archive of the agent, with length and SHA-256, once', async () => {
    const path = `${folder.path}/a.tar.gz`
    const { code, value } = await runJson(bot, 'store', 'evidence', 'edge-a', `file=${path}`)
    expect([code, value['from'], value['path'], value['reason']]).toEqual([0, 'agent', path, null])
    const sum = Bun.spawnSync(['sha256sum', path]).stdout.toString().split(' ')[0]
    expect([value['sha256'], value['length']]).toEqual([sum, (await stat(path)).size])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect([...(await filesOf(path)).keys()]).toContain('slipway-evidence-test/log.jsonl')
    const again = await runCommand(bot, 'store', 'evidence', 'edge-a', `file=${path}`)
    expect(again.output).toContain(`${path} exists.`)
    expect(again.code).toBe(1)
  })

  test('writes what the bot knows of an agent that is gone, and says so first', async () => {
    const path = `${folder.path}/dead.tar.gz`
    const { code, output } = await runCommand(bot, 'store', 'evidence', 'edge-dead', `file=${path}`)
    expect(code).toBe(0)
    expect(output).toContain('The agent of edge-dead gave no archive. The bot made one of what it knows.')
    expect(output).toContain('cannot be reached')
    const files = await filesOf(path)
    expect([...files.keys()].toSorted().map((name) => name.replace('slipway-evidence-edge-dead/', ''))).toEqual([
      'README.txt',
      'changes.jsonl',
      'contact.json',
      'events.jsonl',
      'registration.json',
      'state.json',
      'versions.json',
    ])
    expect(files.get('slipway-evidence-edge-dead/README.txt')).toStartWith('The agent of edge-dead did not give its evidence.')
    expect(JSON.parse(files.get('slipway-evidence-edge-dead/registration.json') ?? '')).toMatchObject({ name: 'edge-dead', url: 'http://127.0.0.1:1' })
    const bytes = gunzipSync(await Bun.file(path).bytes())
    expect(bytes.includes(DEAD_TOKEN)).toBe(false)
    expect(bytes.includes(TEST_ADMIN_TOKEN)).toBe(false)
  })

  test('is in the audit log', async () => {
    const { output } = await runCommand(bot, 'audit', 'list', 'command=store evidence')
    expect(output).toContain('store evidence edge-dead')
  })
})

describe('store evidence in Slack', () => {
  const ask = (line: string, role: 'viewer' | 'operator' = 'operator') => runLine(bot.context({ name: 'ada (U1)', id: 'U1', role }, 'slack'), line)

  test('writes to the home folder of the bot, and names the path', async () => {
    const view = await ask('store evidence edge-a')
    expect(view.outcome).toBe('done')
    const [name = ''] = await readdir(`${folder.path}/home/evidence`)
    expect(view.fields[0]).toEqual({ label: 'File', value: `${folder.path}/home/evidence/${name} on the node of the bot` })
  })

  test('takes no path, and no viewer', async () => {
    expect((await ask('store evidence edge-a file=/tmp/x')).text).toBe('Files are named in the console only.')
    expect((await ask('store evidence edge-a', 'viewer')).text).toContain('needs the role operator')
  })
})

test('the home folder keeps the newest 20 archives', async () => {
  const files = createEvidenceFiles(`${folder.path}/many`)
  const piece = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1)
  }
  for (let i = 10; i < 35; i++) await files.write(`slipway-evidence-${i % 2 === 0 ? 'a' : 'z'}-2026-11-22T10-00-${i}-000Z.tar.gz`, piece())
  const kept = (await readdir(`${folder.path}/many/evidence`)).toSorted()
  expect(kept).toHaveLength(20)
  expect(kept.some((name) => name.includes('T10-00-14-'))).toBe(false)
  expect(kept.some((name) => name.includes('T10-00-15-'))).toBe(true)
})

describe('health', () => {
  test('of a stopped store has the next steps as buttons, and the line that restarts its agent', async () => {
    const view = await runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), 'store health edge-dead')
    expect(view.text).toMatch(/^edge-dead has been Stopped since \d{4}-/)
    expect(view.actions.map(({ command }) => command)).toEqual(['store reconnect edge-dead', 'store evidence edge-dead', 'alert silence edge-dead for=2h'])
    expect(view.fields.find(({ label }) => label === 'Restart')?.value).toBe('sudo systemctl restart slipway-agent@edge-dead')
  })
})
