// The configuration of an agent for tests: everything is below one temporary folder, on any free port.

import { parseConfig } from '../../../agent/config.ts'
import type { Config } from '../../../agent/config.ts'

/** Returns the TOML of a store below a folder. A reserve of 0 makes tests independent of the free space of the machine. */
export function agentToml(folder: string, extra = ''): string {
  return `[store]\nname = "test"\nmount = "${folder}/store"\nstate = "${folder}/state"\nreserved = "0 B"\n[network]\nlisten = "127.0.0.1:0"\n${extra}`
}

/** Returns the configuration of `agentToml`; throws when `extra` makes it invalid. */
export function agentConfig(folder: string, extra = ''): Config {
  const outcome = parseConfig(agentToml(folder, extra), 'test.toml', {})
  if (outcome.kind === 'refused') throw new Error(outcome.complaints.join('\n'))
  return outcome.config
}
