// A bot with a home folder of its own, and the output of its console as text.

import { PassThrough, Writable } from 'node:stream'
import type { EnvironmentRoles } from '../../bot/access/roles.ts'
import { runConsole } from '../../bot/console/console.ts'
import { openBot } from '../../bot/open.ts'
import type { OpenBot, OpenBotDeps } from '../../bot/open.ts'
import { systemClock } from '../../bot/system/clock.ts'
import type { Clock } from '../../bot/system/clock.ts'

export interface ConsoleRun {
  readonly code: number
  readonly output: string
}

/** Opens the bot of a home folder; contacts time out quickly. */
export function openTestBot(home: string, clock: Clock = systemClock, environmentRoles?: EnvironmentRoles, more: Partial<OpenBotDeps> = {}): OpenBot {
  return openBot(home, { clock, contactTimeoutMs: 2_000, ...(environmentRoles ? { environmentRoles } : {}), ...more })
}

/** Runs one command as a shell does, with its output in a pipe. */
export async function runCommand(bot: OpenBot, ...words: string[]): Promise<ConsoleRun> {
  return run(bot, words, '')
}

/** Runs the lines of a pipe. */
export async function runLines(bot: OpenBot, lines: string): Promise<ConsoleRun> {
  return run(bot, [], lines)
}

/** Runs a command with `--json`; returns the value and the exit code. */
export async function runJson(bot: OpenBot, ...words: string[]): Promise<{ code: number; value: Record<string, unknown> }> {
  const { code, output } = await run(bot, [...words, '--json'], '')
  return { code, value: JSON.parse(output) as Record<string, unknown> }
}

async function run(bot: OpenBot, words: readonly string[], lines: string): Promise<ConsoleRun> {
  let text = ''
  const output = new Writable({
    write(piece: Buffer, _encoding, done) {
      text += piece.toString()
      done()
    },
  })
  const input = new PassThrough()
  input.end(lines)
  const code = await runConsole({ bot, user: 'tester', words, input, output, noColor: true })
  return { code, output: text }
}
