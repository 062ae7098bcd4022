// Runs a command of the agent other than `serve` on the folder of a test, as an operator would, and returns its output.

import { join } from 'node:path'
import { agentToml } from './agent-config.ts'
import { TEST_ADMIN_TOKEN } from './agent-process.ts'
import { agentProgram } from './programs.ts'

export interface CommandResult {
  readonly exitCode: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly config?: string
  readonly environment?: Readonly<Record<string, string>>
  /** Kills the process (SIGKILL) when this resolves before it has exited. */
  readonly kill?: Promise<unknown>
}

/**
 * Runs `slipway-agent COMMAND --config …`; `folder` is the folder that was passed to `startAgent`.
 *
 * @example
 * expect((await agentCommand(folder.path, ['scrub'])).exitCode).toBe(0)
 */
export async function agentCommand(folder: string, command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const configFile = join(folder, 'command.toml')
  await Bun.write(configFile, agentToml(folder, options.config))
  return runAgent([...command, '--config', configFile], options)
}

/** Runs the agent's program with these arguments. */
export async function runAgent(args: readonly string[], { environment = {}, kill }: Omit<CommandOptions, 'config'> = {}): Promise<CommandResult> {
  const child = Bun.spawn([...agentProgram(), ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_ADMIN_TOKEN: TEST_ADMIN_TOKEN, ...environment },
  })
  void kill?.then(() => child.kill('SIGKILL'))
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { exitCode: child.signalCode ?? child.exitCode ?? -1, stdout, stderr }
}
