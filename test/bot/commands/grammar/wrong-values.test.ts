// Every option of every command with values that it may not take: the answer speaks of the option as it was written, and never in the
// words of the library that checks values.

import { expect, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import { openBot } from '../../../../bot/open.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { LINES } from './lines.ts'

const VALUES = ['yesterday', '0', '""', '-1', 'isoo']
/** Words of zod's own messages, and of a member's path. */
const LIBRARY_WORDS = /Invalid (?:input|option|ISO|string|datetime)|Too (?:small|big)|expected|received|Unrecognized|ZodError|undefined|\bNaN\b|requirements\./

const rows = COMMANDS.flatMap(({ noun, verb, options }) => {
  const [line = ''] = LINES[`${noun} ${verb}`.trim()] ?? []
  return line.includes('URL') ? [] : Object.keys(options).map((option) => [line, option] as const)
})

test('there are options to try', () => expect(rows.length).toBeGreaterThan(200))

test.each(rows)('%s %s=', async (line, option) => {
  const fetch = () => Promise.reject(new Error('no agent answers'))
  using bot = openBot('', { clock: systemClock, database: openMemoryDatabase(), fetch })
  for (const name of ['edge-a', 'edge-b'])
    bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const words = line.split(' ').filter((word) => !word.startsWith(`${option}=`))
  for (const value of VALUES) {
    const view = await runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), `${words.join(' ')} ${option}=${value}`)
    const text = [view.title === 'Invalid input' ? '' : view.title, view.text, ...view.fields.map((field) => field.value)].join('\n')
    expect(text).not.toMatch(LIBRARY_WORDS)
  }
})
