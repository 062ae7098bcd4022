// Checks a configuration against this node, beyond its syntax. `serve --check` and `serve` refuse and warn alike.

import type { Config } from '../config.ts'
import { changedSettings } from './changed-settings.ts'
import { listenHosts, plainHosts } from './listen-hosts.ts'
import { readTls } from './listeners.ts'

/** Returns a sentence for each setting that works, but is probably not intended. Throws StartRefused as `listenHosts` does. */
export function configurationWarnings(config: Config): string[] {
  const warnings: string[] = []
  const hosts = plainHosts(config)
  if (hosts.length > 0)
    warnings.push(
      `The agent speaks plain HTTP on ${hosts.join(', ')}: tokens and images are sent unencrypted. Set tls.cert and tls.key, or network.plain-http = true if that is intended.`,
    )
  return warnings
}

/** Runs `serve --check`: prints warnings and what operators changed at run time, and returns the exit code. Opens no socket and changes nothing. Throws StartRefused. */
export async function checkConfiguration(config: Config): Promise<number> {
  listenHosts(config)
  await readTls(config)
  const warnings = configurationWarnings(config)
  const changed = await changedSettings(config)
  const overrides = changed.length === 0 ? [] : [`Changed while the agent ran, which overrides the configuration: ${changed.join('; ')}.`]
  const lines = [`The configuration of store ${config.store.name} is valid.`, ...warnings.map((warning) => `Warning: ${warning}`), ...overrides]
  process.stdout.write([...lines, ''].join('\n'))
  return 0
}
