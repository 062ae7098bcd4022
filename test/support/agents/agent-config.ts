// The configuration of an agent for tests: everything below one temporary folder, any free port.

import { parseConfig } from '../../../agent/config.ts'
import type { Config } from '../../../agent/config.ts'

/** TOML of a store below a folder. A reserve of 0 keeps tests apart from the free space of the machine. */
export function agentToml(folder: string, extra = ''): string {
  return `[store]\nname = "test"\nmount = "${folder}/store"\nstate = "${folder}/state"\nreserved = "0 B"\n[network]\nlisten = "127.0.0.1:0"\n${extra}`
}

/** The configuration that `agentToml` makes; throws when `extra` makes it a wrong one. */
export function agentConfig(folder: string, extra = ''): Config {
  const outcome = parseConfig(agentToml(folder, extra), 'test.toml', {})
  if (outcome.kind === 'refused') throw new Error(outcome.complaints.join('\n'))
  return outcome.config
}
