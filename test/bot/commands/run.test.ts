// What the audit log keeps of a command: who ran it, how it ended, and never a secret.

import { describe, expect, test } from 'bun:test'
import type { OpenBot } from '../../../bot/open.ts'
import { runLine } from '../../../bot/commands/run.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

const SECRET = 'slp_very-secret-token'

/** Runs a line as someone of a role, and returns the entries of the audit log. */
async function audited(bot: OpenBot, line: string, role: 'viewer' | 'admin' = 'admin') {
  const view = await runLine(bot.context({ name: 'ann', role }, 'console'), line)
  return { view, entries: bot.audit.list({ limit: 100 }) }
}

describe('the audit log', () => {
  test.each([
    [`store add name=edge-a url=http://127.0.0.1:1 token=${SECRET} zone=z1`, 'store add name=edge-a url=http://127.0.0.1:1 token=*** zone=z1', 'failed'],
    [`store add name=all url=http://127.0.0.1:1 token="${SECRET} with space" zone=z1`, 'store add name=all url=http://127.0.0.1:1 token=*** zone=z1', 'failed'],
    [`store edit edge-b token=${SECRET}`, 'store edit edge-b token=***', 'failed'],
  ])('has %s without its token', async (line, command, outcome) => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    const { entries } = await audited(bot, line)
    expect(entries).toMatchObject([{ actor: 'ann', surface: 'console', command, outcome }])
    expect(JSON.stringify(entries)).not.toContain('secret')
  })

  test('has a store that was added, and no token in any of its columns', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    using bot = openTestBot(folder.path)
    const { view, entries } = await audited(bot, `store add name=edge-a url=${agent.url} token=${agent.token} zone=z1`)
    expect(view.outcome).toBe('done')
    expect(entries).toMatchObject([{ command: `store add name=edge-a url=${agent.url} token=*** zone=z1`, target: 'edge-a', outcome: 'done' }])
    expect(JSON.stringify(entries)).not.toContain(agent.token)
  })

  test('has a command that was refused for the role, without its token', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    const { view, entries } = await audited(bot, `store add name=edge-a url=http://127.0.0.1:1 token=${SECRET} zone=z1`, 'viewer')
    expect(view.text).toContain('store add needs the role admin; ann has viewer.')
    expect(entries).toMatchObject([{ command: expect.stringContaining('token=***'), outcome: 'refused' }])
    expect(JSON.stringify(entries)).not.toContain('secret')
  })
})
