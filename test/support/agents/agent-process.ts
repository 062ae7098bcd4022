// A real agent in a process of its own, on a folder of the test: started, killed without warning, started again.

import { join } from 'node:path'
import { createAgentClient } from '../../../protocol/client.ts'
import type { AgentClient } from '../../../protocol/client.ts'
import { agentToml } from './agent-config.ts'

/** Token of the admin of every agent that a test starts. */
export const TEST_ADMIN_TOKEN = 'test-admin-token-of-slipway'

export interface AgentProcessOptions {
  /** More TOML, such as `[uploads]\nexpiry = "1h"`. */
  readonly config?: string
  /** More environment, such as SLIPWAY_CRASH_POINT. */
  readonly environment?: Readonly<Record<string, string>>
  /** Another program than `bun agent/main.ts`, such as the compiled binary. */
  readonly command?: readonly string[]
}

/** An agent that serves. Disposing kills it and leaves the folder. */
export interface AgentProcess extends AsyncDisposable {
  /** Base URL; another one after a restart. */
  readonly url: string
  readonly client: AgentClient
  readonly pid: number
  readonly folder: string
  /** Everything it wrote to standard error since it was started. */
  log(): string
  /** Authorization header of the admin, with more headers. */
  headers(more?: Readonly<Record<string, string>>): Record<string, string>
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number>
  /** Resolves with the exit code, or with the signal that ended it. */
  ended(): Promise<number | string>
  /** Starts it again on the same folder; with other options from then on when some are given. */
  restart(options?: AgentProcessOptions): Promise<void>
}

/** Why an agent did not come up. */
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
 * Starts an agent on a folder and waits until it serves. Throws AgentNotStarted when it ends instead.
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
  const program = options.command ?? [process.execPath, join(import.meta.dir, '../../../agent/main.ts')]
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
