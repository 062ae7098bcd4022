// An agent as a child process of `start`: in a process group of its own, so that Ctrl-C reaches the console only. The runtime ends it
// when its parent is killed.

import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

/** A log longer than this is rotated at the next start; one old generation is kept. */
const LOG_BYTES_MAX = 10 * 1024 * 1024
/** Most output that is kept to be shown when the start is refused, in characters. */
const OUTPUT_LENGTH_MAX = 64 * 1024

const servingSchema = z.object({ msg: z.literal('serving'), store: z.string(), url: z.string(), mount: z.string() })

export interface AgentChild {
  readonly store: string
  readonly url: string
  readonly mount: string
  /** Resolves with the exit code when the agent has exited, by itself or after `stop`. */
  readonly ended: Promise<number>
  /** Sends SIGTERM, upon which the agent drains. */
  stop(): Promise<number>
}

export type AgentStart = { readonly kind: 'serving'; readonly agent: AgentChild } | { readonly kind: 'ended'; readonly code: number; readonly output: string }

/** Starts an agent with an environment and waits until it serves or exits. Writes its log to a file. */
export async function startAgentChild(environment: Readonly<Record<string, string | undefined>>, logFile: string): Promise<AgentStart> {
  rotate(logFile)
  const child = Bun.spawn([process.execPath, '--no-orphans', join(import.meta.dir, '../agent/main.ts'), 'serve'], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    detached: true,
    env: { ...environment },
  })
  const serving = Promise.withResolvers<z.infer<typeof servingSchema>>()
  let output = ''
  const reading = (async () => {
    let rest = ''
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      appendFileSync(logFile, piece)
      if (output.length < OUTPUT_LENGTH_MAX) output += piece
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const started = parseServing(line)
        if (started) serving.resolve(started)
      }
    }
  })()
  const ended = (async () => {
    await child.exited
    await reading
    return child.exitCode ?? 1
  })()
  const first = await Promise.race([serving.promise, ended])
  if (typeof first === 'number') return { kind: 'ended', code: first, output }
  const stop = (): Promise<number> => {
    child.kill('SIGTERM')
    return ended
  }
  return { kind: 'serving', agent: { store: first.store, url: first.url, mount: first.mount, ended, stop } }
}

function parseServing(line: string): z.infer<typeof servingSchema> | undefined {
  if (!line.includes('"serving"')) return undefined
  try {
    return servingSchema.safeParse(JSON.parse(line)).data
  } catch {
    // The text is not a line of the log.
    return undefined
  }
}

function rotate(logFile: string): void {
  mkdirSync(dirname(logFile), { recursive: true })
  const length = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
  if (length > LOG_BYTES_MAX) renameSync(logFile, `${logFile}.1`)
}
