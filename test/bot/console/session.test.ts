// Questions in the console: forms and the typed name.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runConsoleLine } from '../../../bot/console/session.ts'
import { splitLine } from '../../../bot/commands/line.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

async function converse(bot: OpenBot, line: string, answers: readonly string[]) {
  const questions: string[] = []
  let text = ''
  const screen = {
    print: (piece: string): void => void (text += piece),
    width: undefined,
    color: false,
    ask: (question: string): Promise<string | undefined> => Promise.resolve(answers[questions.push(question) - 1]),
  }
  const code = await runConsoleLine(bot.context({ name: 'tester', role: 'admin' }, 'console'), screen, splitLine(line) ?? [])
  return { code, text, questions }
}

describe('a person in the console', () => {
  test('is asked for what store add lacks, then for the name before it goes', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    using bot = openTestBot(folder.path)
    const added = await converse(bot, 'store add name=edge-a zone="zone 1"', [agent.url, agent.token, '', ''])
    expect(added.code).toBe(0)
    expect(added.questions.map((question) => question.split(' ')[0])).toEqual(['URL', 'Token', 'Provider', 'Kinds'])
    expect(bot.fleet.registry.find('edge-a')).toMatchObject({ zone: 'zone 1', token: agent.token })
    expect(added.text).not.toContain(agent.token)

    expect(await converse(bot, 'store delete edge-a', ['edge-b'])).toMatchObject({ code: 1 })
    expect(await converse(bot, 'store delete edge-a', [''])).toMatchObject({ code: 1, text: expect.stringContaining('Nothing was changed') })
    expect(bot.fleet.registry.find('edge-a')).toBeDefined()
    expect(await converse(bot, '/store delete edge-a', ['edge-a'])).toMatchObject({ code: 0 })
    expect(bot.fleet.registry.list()).toEqual([])
  })

  test('leaves a form with an empty answer', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    expect(await converse(bot, 'store add', [''])).toMatchObject({ code: 2, text: expect.stringContaining('Nothing was done.') })
  })
})
