// Every command with wrong input: the answer says what is wrong and what to do, no agent is asked, and nothing is changed.

import { describe, expect, test } from 'bun:test'
import { LINE_LENGTH_MAX } from '../../../../bot/commands/line.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import type { FileSender } from '../../../../bot/commands/command.ts'
import { runLines } from '../../fixture.ts'
import { WRONG_INPUT } from './wrong-input.ts'

const files: FileSender = { length: async () => 5, send: () => Promise.reject(new Error('a file was sent')) }

/** A bot whose agents must not be asked. */
function openUnaskedBot() {
  let asked = 0
  const fetch = () => Promise.reject(new Error(`${++asked} requests`))
  const bot = openBot('', { clock: systemClock, database: openMemoryDatabase(), fetch })
  for (const name of ['edge-a', 'edge-b']) {
    bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: crypto.randomUUID() }, 0)
  }
  const context = { ...bot.context({ name: 'ann', role: 'admin' }, 'console'), files }
  context.policies.add({
    ...{ name: 'p', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' }, labels: [], kinds: [], cron: '23 2 * * *', timezone: 'UTC' },
    ...{ graceMs: 0, paused: false, createdMs: 0, anchorMs: 0 },
  })
  return { bot, context, asked: () => asked, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('wrong input', () => {
  test('is known for every command', () => {
    const names = COMMANDS.map(({ noun, verb }) => `${noun} ${verb}`.trim())
    expect(names.filter((name) => !WRONG_INPUT.some(([line]) => `${line} `.startsWith(`${name} `)))).toEqual([])
  })

  test.each(WRONG_INPUT)('%s: %s %s', async (line, wrong, next) => {
    using it = openUnaskedBot()
    const before = [it.bot.fleet.registry.list(), it.context.policies.list()]
    const view = await runLine(it.context, line)
    expect([view.text, view.fields.find(({ label }) => label === 'Next')?.value]).toEqual([wrong, next])
    expect(['failed', 'unclear']).toContain(view.outcome)
    expect(it.asked()).toBe(0)
    expect([it.bot.fleet.registry.list(), it.context.policies.list()]).toEqual(before)
  })
})

test('a line is read up to its bound, and a quote must be closed', async () => {
  using it = openUnaskedBot()
  expect(LINE_LENGTH_MAX).toBe(16_384)
  const words = 'help store '
  const longest = `${words}${'x'.repeat(16_384 - words.length)}`
  expect((await runLines(it.bot, `${longest}\n`)).output).toContain('store has no command "xxx')
  expect(await runLines(it.bot, `${longest}x\n`)).toEqual({ code: 2, output: 'A line has at most 16384 characters.\n' })
  expect(await runLines(it.bot, 'store list "zone-1\n')).toEqual({ code: 2, output: 'A quote is not closed. Close it, or leave it out.\n' })
  expect(await runLine(it.context, 'store list "zone-1')).toMatchObject({ outcome: 'unclear', text: 'A quote is not closed.' })
})
