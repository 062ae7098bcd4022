// How tests start the programs: compiled ones when the suites have built them, which start in a quarter of the time, else from their sources.

import { join } from 'node:path'
import { AGENT_PROGRAM, BOT_PROGRAM } from '../../../scripts/build-program.ts'

const ROOT = join(import.meta.dir, '../../..')

/** Returns the command line of the agent, without arguments. */
export function agentProgram(): readonly string[] {
  return compiled(AGENT_PROGRAM) ?? [process.execPath, join(ROOT, 'agent/main.ts')]
}

/** Returns the command line of the bot and its console, without arguments. */
export function botProgram(): readonly string[] {
  return compiled(BOT_PROGRAM) ?? [process.execPath, join(ROOT, 'bot/main.ts')]
}

function compiled(name: string): readonly string[] | undefined {
  const folder = process.env['SLIPWAY_TEST_PROGRAMS']
  return folder === undefined ? undefined : [join(folder, name)]
}
