// The console: runs one command, the lines of a pipe, or the commands of a person with history and completion. It has the same commands
// as Slack.

import { createInterface } from 'node:readline'
import { openLocalFile, writeLocalFile } from '../system/local-files.ts'
import type { CommandContext, FileSender } from '../commands/command.ts'
import { fromArguments, LINE_LENGTH_MAX, splitLine } from '../commands/line.ts'
import type { OpenBot } from '../open.ts'
import { createAsker } from './asker.ts'
import type { Asker, ConsoleInput, ConsoleOutput } from './asker.ts'
import { runConsoleLine } from './session.ts'
import type { Screen } from './session.ts'

export interface ConsoleOptions {
  readonly bot: OpenBot
  /** The user's name, for the audit log. */
  readonly user: string
  /** The words of one command; none for a person or the lines of a pipe. */
  readonly words: readonly string[]
  readonly input: ConsoleInput
  readonly output: ConsoleOutput
  readonly noColor: boolean
  /** Ends the running command and the console. */
  readonly signal?: AbortSignal
}

/** Runs the console until its input ends. Returns the worst exit code of its commands, or 0 for a person who leaves. */
export async function runConsole(options: ConsoleOptions): Promise<number> {
  const { bot, output, input } = options
  const context: CommandContext = {
    ...bot.context({ name: options.user, role: 'admin' }, 'console'),
    files: lazySender(bot),
    fileWriter: { write: writeLocalFile },
    ...(options.signal ? { signal: options.signal } : {}),
  }
  const screen: Screen = {
    print: (text) => void output.write(text),
    get width() {
      return output.isTTY ? (output.columns ?? 80) : undefined
    },
    color: output.isTTY === true && !options.noColor,
  }
  if (options.words.length > 0) {
    if (!input.isTTY || !output.isTTY) return runConsoleLine(context, screen, fromArguments(options.words))
    // Readline takes over the terminal only for a question: before that, Ctrl-C ends the command as usual.
    const ask: Screen['ask'] = async (question, how) => {
      using asker = createAsker(options)
      return await asker.ask(question, how)
    }
    return runConsoleLine(context, withAsk(screen, { ask }), fromArguments(options.words))
  }
  return input.isTTY && output.isTTY ? interact(options, context, screen) : runLines(options, context, screen)
}

/** A sender that is loaded with the first file, because its tus client would slow down every other command. */
function lazySender({ database, clock }: OpenBot): FileSender {
  return {
    async send(order) {
      const { createFileSender } = await import('./send-file.ts')
      return createFileSender(database, clock).send(order)
    },
    length: async (path) => openLocalFile(path).length,
  }
}

async function runLines(options: ConsoleOptions, context: CommandContext, screen: Screen): Promise<number> {
  let worst = 0
  const lines = createInterface({ input: options.input, crlfDelay: Number.POSITIVE_INFINITY })
  options.signal?.addEventListener('abort', () => lines.close(), { once: true })
  for await (const line of lines) {
    if (options.signal?.aborted) break
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue
    worst = Math.max(worst, await runOne(context, screen, line))
  }
  return worst
}

async function interact(options: ConsoleOptions, context: CommandContext, plain: Screen): Promise<number> {
  using asker = createAsker(options, context)
  const screen = withAsk(plain, asker)
  screen.print('Type help for the commands, Ctrl-D to leave.\n')
  for (;;) {
    const line = await asker.next()
    if (line === undefined) break
    if (line.trim() === '') continue
    if (['exit', 'quit'].includes(line.trim())) break
    asker.remember(line)
    // Ctrl-C ends the running command and not the console.
    using interrupt = asker.interruptible(options.signal)
    await runOne({ ...context, signal: interrupt.signal }, screen, line)
  }
  // A person has read every answer, so the exit code does not repeat failures.
  return 0
}

async function runOne(context: CommandContext, screen: Screen, line: string): Promise<number> {
  const words = line.length > LINE_LENGTH_MAX ? undefined : splitLine(line)
  if (words) return runConsoleLine(context, screen, words)
  screen.print(line.length > LINE_LENGTH_MAX ? `A line has at most ${LINE_LENGTH_MAX} characters.\n` : 'A quote is not closed. Close it, or leave it out.\n')
  return 2
}

function withAsk(screen: Screen, { ask }: Pick<Asker, 'ask'>): Screen {
  return {
    print: screen.print,
    get width() {
      return screen.width
    },
    color: screen.color,
    ask,
  }
}
