// A person at a terminal: one readline for the prompt and for questions, with history and completion.

import { createInterface } from 'node:readline'
import type { Interface } from 'node:readline'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { CommandContext } from '../commands/command.ts'
import { openHistory } from '../system/local-files.ts'
import { createCompleter } from './complete.ts'

/** A stream that may be a terminal. */
export type ConsoleInput = NodeJS.ReadableStream & { readonly isTTY?: boolean }
export type ConsoleOutput = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }

export interface AskerOptions {
  /** The bot's home; the history is in its folder `bot`. */
  readonly bot: { readonly home: string }
  readonly input: ConsoleInput
  readonly output: ConsoleOutput
  /** Ends the input. */
  readonly signal?: AbortSignal
}

export interface Asker extends Disposable {
  /** The next line at the prompt; undefined at the end of the input. */
  next(): Promise<string | undefined>
  /** The answer to a question, which never gets into the history; undefined at the end of the input. */
  ask(question: string, options?: { readonly secret?: boolean }): Promise<string | undefined>
  /** Adds a line to the history. */
  remember(line: string): void
  /** A signal that Ctrl-C aborts until it is disposed. */
  interruptible(outer: AbortSignal | undefined): Disposable & { readonly signal: AbortSignal }
}

const PROMPT = 'slipway> '
const COLUMNS_DEFAULT = 80

/** What is being asked now: a secret is not echoed, and a question has neither completion nor history. */
interface Mode {
  isSecret: boolean
  isQuestion: boolean
}

/** Takes over the terminal until it is disposed; with a context the Tab key completes commands. */
export function createAsker(options: AskerOptions, context?: CommandContext): Asker {
  const { output } = options
  const history = openHistory(join(options.bot.home, 'bot', 'history'))
  const mode: Mode = { isSecret: false, isQuestion: false }
  const lines = openLines(options, { mode, history: history.lines, complete: context && createCompleter(context) })
  const read = questions(lines)
  const close = (): void => lines.close()
  options.signal?.addEventListener('abort', close, { once: true })
  return {
    async next() {
      const onInterrupt = (): void => {
        output.write('\n(Ctrl-D leaves)\n')
        lines.write(null, { ctrl: true, name: 'u' })
        lines.prompt()
      }
      lines.on('SIGINT', onInterrupt)
      try {
        return await read(PROMPT)
      } finally {
        lines.off('SIGINT', onInterrupt)
      }
    },
    async ask(question, { secret = false } = {}) {
      mode.isQuestion = true
      try {
        const answer = read(question)
        mode.isSecret = secret
        return await answer
      } finally {
        if (mode.isSecret) output.write('\n')
        mode.isSecret = false
        mode.isQuestion = false
      }
    },
    remember: (line) => history.add(line),
    interruptible(outer) {
      const controller = new AbortController()
      const interrupt = (): void => controller.abort(new Error('interrupted'))
      lines.on('SIGINT', interrupt)
      return {
        signal: outer ? AbortSignal.any([outer, controller.signal]) : controller.signal,
        [Symbol.dispose]: () => lines.off('SIGINT', interrupt),
      }
    },
    [Symbol.dispose]: () => {
      options.signal?.removeEventListener('abort', close)
      lines.close()
    },
  }
}

interface LinesDeps {
  readonly mode: Mode
  readonly history: string[]
  readonly complete: ReturnType<typeof createCompleter> | undefined
}

/** Opens readline on the terminal. */
function openLines({ input, output }: AskerOptions, { mode, history, complete }: LinesDeps): Interface {
  const lines = createInterface({
    input,
    output: createEcho(output, mode),
    terminal: true,
    history,
    prompt: PROMPT,
    completer: (line: string, callback: (error: Error | null, result: [string[], string]) => void) => {
      const nothing = (): void => callback(null, [[], line])
      if (!complete || mode.isQuestion) nothing()
      else void complete(line).then(({ hits, word }) => callback(null, [hits, word]), nothing)
    },
  })
  lines.on('history', (kept: string[]) => {
    if (mode.isQuestion) kept.shift()
  })
  return lines
}

/** The terminal as readline writes to it: while a secret is typed, nothing is shown. */
function createEcho(output: ConsoleOutput, mode: Mode): Writable {
  const echo = new Writable({
    write(piece: Buffer, _encoding, done) {
      if (!mode.isSecret) output.write(piece)
      done()
    },
  })
  Object.assign(echo, { isTTY: true })
  Object.defineProperty(echo, 'columns', { get: () => output.columns ?? COLUMNS_DEFAULT })
  return echo
}

/** Returns a function that asks and resolves with the answer, or with undefined once the input has ended. */
function questions(lines: Interface): (question: string) => Promise<string | undefined> {
  let isClosed = false
  const closed = new Promise<undefined>((resolve) => {
    lines.once('close', () => {
      isClosed = true
      resolve(undefined)
    })
  })
  return (question) => {
    if (isClosed) return Promise.resolve(undefined)
    return Promise.race([new Promise<string>((resolve) => lines.question(question, resolve)), closed])
  }
}
