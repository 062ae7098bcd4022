// A real agent in a process of its own, on a folder of the test, which can be killed and restarted.

import { join } from 'node:path'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { agentToml } from './agent-config.ts'
import { agentProgram } from './programs.ts'

/** The admin token of every agent that a test starts. */
export const TEST_ADMIN_TOKEN = 'test-admin-token-of-slipway'

export interface AgentProcessOptions {
  /** Additional TOML, such as `[uploads]\nexpiry = "1h"`. */
  readonly config?: string
  /** Additional environment variables, such as SLIPWAY_CRASH_POINT. */
  readonly environment?: Readonly<Record<string, string>>
  /** A program other than `bun agent/main.ts`, such as the compiled binary. */
  readonly command?: readonly string[]
}

/** An agent that serves. Disposing kills it and keeps the folder. */
export interface AgentProcess extends AsyncDisposable {
  /** Base URL, which changes with a restart. */
  readonly url: string
  readonly client: AgentClient
  readonly pid: number
  readonly folder: string
  /** Returns everything written to standard error since the last start. */
  log(): string
  /** Returns the Authorization header of the admin, with additional headers. */
  headers(more?: Readonly<Record<string, string>>): Record<string, string>
  /** Sends SIGKILL; resolves when the process has exited. */
  kill(): Promise<void>
  /** Sends SIGTERM; resolves with the exit code. */
  stop(): Promise<number>
  /** Resolves with the exit code, or with the signal that ended it. */
  ended(): Promise<number | string>
  /** Kills the agent and starts it on the same folder; options replace the earlier ones from then on. */
  restart(options?: AgentProcessOptions): Promise<void>
}

/** An agent exited before it served. */
export class AgentNotStarted extends Error {
  override readonly name = 'AgentNotStarted'
  readonly exitCode: number | string
  readonly output: string

  constructor(exitCode: number | string, output: string) {
    super(`the agent ended with ${exitCode} before it served:\n${output}`)
    this.exitCode = exitCode
    this.output = output
  }
}

/**
 * Starts an agent on a folder and waits until it serves. Throws AgentNotStarted when it exits before.
 *
 * @example
 * await using folder = await createTemporaryFolder()
 * await using agent = await startAgent(folder.path)
 * await agent.client.store.get()
 */
export async function startAgent(folder: string, first: AgentProcessOptions = {}): Promise<AgentProcess> {
  let options = first
  let running = await launch(folder, options)

  const end = async (signal: NodeJS.Signals): Promise<number | string> => {
    running.child.kill(signal)
    return running.ended()
  }

  return {
    folder,
    get url() {
      return running.url
    },
    get client() {
      return createAgentClient({ baseUrl: running.url, token: TEST_ADMIN_TOKEN })
    },
    get pid() {
      return running.child.pid
    },
    log: () => running.output(),
    headers: (more = {}) => ({ authorization: `Bearer ${TEST_ADMIN_TOKEN}`, ...more }),
    async kill() {
      await end('SIGKILL')
    },
    stop: async () => Number(await end('SIGTERM')),
    ended: () => running.ended(),
    async restart(next = options) {
      await end('SIGKILL')
      options = next
      running = await launch(folder, options)
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL')
    },
  }
}

interface Launched {
  readonly child: Bun.Subprocess<'ignore', 'ignore', 'pipe'>
  readonly url: string
  output(): string
  ended(): Promise<number | string>
}

async function launch(folder: string, options: AgentProcessOptions): Promise<Launched> {
  const configFile = join(folder, 'agent.toml')
  await Bun.write(configFile, agentToml(folder, options.config))
  const program = options.command ?? agentProgram()
  const child = Bun.spawn([...program, 'serve', '--config', configFile], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_ADMIN_TOKEN: TEST_ADMIN_TOKEN, ...options.environment },
  })
  let output = ''
  const serving = Promise.withResolvers<string>()
  const reading = (async () => {
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      output += piece
      const url = /"msg":"serving".*?"url":"([^"]+)"/.exec(output)?.[1]
      if (url !== undefined) serving.resolve(url)
    }
  })()
  const ended = async (): Promise<number | string> => {
    await child.exited
    await reading
    return child.signalCode ?? child.exitCode ?? -1
  }
  const url = await Promise.race([serving.promise, ended()])
  if (typeof url === 'number' || !url.startsWith('http')) throw new AgentNotStarted(url, output)
  return { child, url, output: () => output, ended }
}
