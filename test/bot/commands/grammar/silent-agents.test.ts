// Every command while its agents are gone, slow, fall silent, answer endlessly, or answer with rubbish. A new command without a line fails.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../bot/commands/run.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import { openBot } from '../../../../bot/open.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { renderTerminal } from '../../../../bot/views/terminal.ts'
import { LINES } from './lines.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const byte = new TextEncoder().encode(' ')
/** A body that sends a piece, then others after each pause; without a pause it sends no other. */
const body = (pauseMs?: number): ReadableStream =>
  new ReadableStream({
    start: (controller) => controller.enqueue(byte),
    async pull(controller) {
      await (pauseMs === undefined ? new Promise<void>(() => {}) : Bun.sleep(pauseMs))
      controller.enqueue(byte)
    },
  })

let turn = 0
const RUBBISH = [
  () => new Response('<html>'),
  () => Response.json({ hello: 'world' }),
  () => new Response('<html>', { status: 500 }),
  () => Response.redirect('/other'),
]

interface Fault {
  /** Undefined: nothing listens. */
  readonly answer?: () => Response | Promise<Response>
  /** What people read. */
  readonly reason: RegExp
  /** Time for the head of an answer and for each next piece; long where a busy machine must not decide what people read. */
  readonly timeoutMs: number
}

/** How agents fail. */
const FAULTS: Readonly<Record<string, Fault>> = {
  'are gone': { reason: /cannot be reached|nothing listens there/, timeoutMs: 30_000 },
  'are slow': { answer: () => new Promise<Response>(() => {}), reason: /did not answer within 0\.3 s/, timeoutMs: 300 },
  // On a busy machine the head may be late as well.
  'fall silent': { answer: () => new Response(body()), reason: /fell silent for 0\.3 s|did not answer within 0\.3 s/, timeoutMs: 300 },
  'answer endlessly': { answer: () => new Response(body(20)), reason: /did not finish its answer within 0\.6 s/, timeoutMs: 30_000 },
  'answer with rubbish': {
    answer: () => RUBBISH[turn++ % RUBBISH.length]?.() ?? new Response(''),
    timeoutMs: 30_000,
    reason:
      /sent an answer that is not JSON|sent JSON that does not match the schema of an agent|answered 500 without the problem document of an agent|redirects to another address; use the address of the agent itself|Its answer is not an archive/,
  },
}

/** A bot with two stores at one address, and a policy. */
function openFleet(home: string, url: string, timeoutMs: number): OpenBot {
  const bot = openBot(home, { clock: systemClock, contactTimeoutMs: timeoutMs, answerMsMax: 600, database: openMemoryDatabase() })
  for (const name of ['edge-a', 'edge-b']) {
    bot.fleet.registry.add({ name, url, token: 'x', zone: 'zone-1', provider: 'local', storeId: crypto.randomUUID() }, 0)
  }
  bot.context({ name: 'ann', role: 'admin' }, 'console').policies.add({
    ...{ name: 'p', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' }, labels: [], kinds: [], cron: '23 2 * * *', timezone: 'UTC' },
    ...{ graceMs: 0, paused: false, createdMs: 0, anchorMs: 0 },
  })
  return bot
}

test('every command has a line, and no other', () => {
  expect(Object.keys(LINES).toSorted()).toEqual(COMMANDS.map(({ noun, verb }) => `${noun} ${verb}`.trim()).toSorted())
})

describe.each(Object.entries(FAULTS))('while agents %s', (_what, { answer, reason, timeoutMs }) => {
  test('every command says so, and changes nothing', async () => {
    await using folder = await createTemporaryFolder()
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', idleTimeout: 0, fetch: () => answer?.() ?? new Response() })
    const url = `http://127.0.0.1:${server.port}`
    if (!answer) await server.stop(true)
    const seen = await Promise.all(
      Object.entries(LINES).map(async ([name, [line, silent, outcome]]) => {
        using bot = openFleet(folder.path, url, timeoutMs)
        const view = await runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), line.replace('URL', url))
        const text = renderTerminal(view, { width: undefined, color: false, nowMs: view.asOfMs })
        const facts = {
          reason: silent === 'reason' ? reason.test(text) : true,
          gap: silent === 'gap' ? /edge-a has (been Stopped|not answered) since \d{4}-/.test(text) : true,
          stopped: silent === 'stopped' ? text.includes('Stopped') && !text.includes('Running') : true,
          stores: bot.fleet.registry.list().map((store) => store.name),
        }
        const expected = { reason: true, gap: true, stopped: true, stores: ['edge-a', 'edge-b'] }
        return [
          [name, view.outcome, facts, silent === 'local' || text.includes('edge-a') || name === 'store add' || name === 'zone list'],
          [name, outcome, expected, true],
        ]
      }),
    )
    expect(seen.map(([found]) => found)).toEqual(seen.map(([, expected]) => expected))
  })
})
