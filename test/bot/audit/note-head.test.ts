// The service writes the head of the audit log to its log, and the code for the first admin to its console.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createAudit } from '../../../bot/audit/audit.ts'
import { NOTE_INTERVAL_MS, noteHead } from '../../../bot/audit/note-head.ts'
import { readBotConfig } from '../../../bot/config.ts'
import { startBot } from '../../../bot/serve.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { createLog } from '../../../bot/system/log.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ROW = { timeMs: 0, actor: 'ada', surface: 'console', command: 'store list', target: '', outcome: 'done', detail: '' }

test('the head is noted at the start, every hour if it changed, and at the end', () => {
  const clock = createManualClock()
  const audit = createAudit(openMemoryDatabase())
  const heads: string[] = []
  const log = createLog({ clock, level: 'info', write: (line) => void heads.push((JSON.parse(line) as { head: string }).head.slice(0, 4)) })
  const noting = noteHead(audit, clock, log)
  expect([heads, NOTE_INTERVAL_MS]).toEqual([['0:00'], 3_600_000])
  clock.advance(NOTE_INTERVAL_MS)
  expect(heads).toHaveLength(1)
  audit.append(ROW)
  clock.advance(NOTE_INTERVAL_MS)
  const { hash = '' } = audit.head() ?? {}
  expect(heads).toEqual(['0:00', `1:${hash.slice(0, 2)}`])
  audit.append(ROW)
  noting[Symbol.dispose]()
  expect(heads).toHaveLength(3)
})

test('a long log is noted once, with what to do', () => {
  const clock = createManualClock()
  const lines: Record<string, unknown>[] = []
  const log = createLog({ clock, level: 'warn', write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
  let seq = 3_999_999
  const audit = { head: () => ({ seq, hash: '0'.repeat(64) }) }
  noteHead(audit, clock, log)[Symbol.dispose]()
  expect(lines).toEqual([])
  seq = 4_000_000
  const noting = noteHead(audit, clock, log)
  clock.advance(NOTE_INTERVAL_MS)
  noting[Symbol.dispose]()
  expect(lines).toMatchObject([
    {
      level: 40,
      entries: 4_000_000,
      action:
        "The audit log has 4000000 entries, about 920 MB, and is never cut. Make sure that the disk of the bot's home has room for as much again; find who writes most of it with audit list --reads.",
    },
  ])
})

test('the service prints a code while nobody in Slack is an admin, which makes the first one', async () => {
  await using folder = await createTemporaryFolder()
  await using slack = createFakeSlack()
  const environment = { SLIPWAY_HOME: folder.path, SLACK_BOT_TOKEN: 'xoxb-fake', SLACK_APP_TOKEN: 'xapp-fake', SLACK_API_URL: slack.apiUrl }
  const start = async (more: Record<string, string> = {}): Promise<{ said: string[] } & AsyncDisposable> => {
    const said: string[] = []
    const log = createLog({ clock: systemClock, level: 'error', write: () => {} })
    const bot = await startBot(readBotConfig({ ...environment, ...more }), { clock: systemClock, log, announce: (text) => void said.push(text) })
    return { said, [Symbol.asyncDispose]: () => bot[Symbol.asyncDispose]() }
  }
  {
    await using _bot = await start({ SLIPWAY_SLACK_ADMINS: 'U024BE7LH' })
    expect(_bot.said).toEqual([])
  }
  {
    await using bot = await start()
    expect(bot.said).toHaveLength(1)
    await until('the bot is connected', () => slack.socketCount === 1)
    const command = /role claim [0-9A-Z-]{14}$/.exec(bot.said[0] ?? '')?.[0] ?? ''
    await slack.command('/slipway', command, { user: 'UADA' })
    const card = await until('the card', () => slack.shown.find(({ kind }) => kind === 'post'))
    expect(JSON.stringify(card.blocks)).toContain('name-UADA (UADA) is an admin')
  }
  await using again = await start()
  expect(again.said).toEqual([])
})
