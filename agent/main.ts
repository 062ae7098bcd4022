// slipway-agent: one process for one store. Parses the command line and returns the exit code: 0 done, 1 failed, 2 refused
// or not understood.

import { parseArgs } from 'node:util'
import { errorText } from '../protocol/errors.ts'
import packageFile from '../package.json' with { type: 'json' }
import { checkConfiguration } from './commands/check-configuration.ts'
import { checkStore } from './commands/check.ts'
import { exitOnCrash } from './commands/crash.ts'
import { collectGarbageNow, recoverStore, scrubStoreNow } from './commands/maintenance.ts'
import { serve } from './commands/serve.ts'
import { StartRefused } from './commands/start-refused.ts'
import { loadConfig } from './config.ts'
import type { Config } from './config.ts'
import { makeFilesPrivate } from './system/private-files.ts'

const USAGE = `slipway-agent ${packageFile.version}: serves one store of disk images

Usage: slipway-agent COMMAND [--config FILE]

Commands
  serve     run the agent until SIGTERM; with --check, only validate the configuration
  recover   rebuild the index database from packs and manifests, and restore a lost store.json
  scrub     read and verify everything in the store
  gc        remove unreferenced slices; with --dry-run, only count them
  check     look up every slice of every image in the index, without reading the slices

Options
  --config FILE   read the configuration from FILE; without it, only environment variables apply
  -h, --help      print this help
  -V, --version   print the version

Every configuration key can also be set as SLIPWAY_<SECTION>_<KEY> in the environment.
recover, scrub, gc and check need exclusive access to the store: stop its agent first.
Run as root, they switch to the user that owns the store.`

interface Flags {
  readonly check: boolean
  readonly dryRun: boolean
}

const COMMANDS: Readonly<Record<string, (config: Config, flags: Flags) => Promise<number>>> = {
  serve: (config, { check }) => (check ? checkConfiguration(config) : serve(config, packageFile.version)),
  recover: (config) => recoverStore(config),
  scrub: (config) => scrubStoreNow(config),
  gc: (config, { dryRun }) => collectGarbageNow(config, dryRun),
  check: (config) => checkStore(config),
}

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseCommandLine(args)
  if (typeof parsed === 'string') return complain(parsed)
  const { positionals, values } = parsed
  if (values.version) return tell(packageFile.version)
  if (values.help || positionals[0] === 'help') return tell(USAGE)
  const [name, ...rest] = positionals
  const command = name === undefined ? undefined : COMMANDS[name]
  if (!command || rest.length > 0) return complain(USAGE)
  const loaded = loadConfig(values.config)
  if (loaded.kind === 'refused') return complain(loaded.complaints.join('\n'))
  try {
    return await command(loaded.config, { check: values.check, dryRun: values['dry-run'] })
  } catch (error) {
    if (error instanceof StartRefused) return complain(error.message)
    throw error
  }
}

function parseCommandLine(args: readonly string[]) {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: 'string' }, check: flag, 'dry-run': flag, help: { ...flag, short: 'h' }, version: { ...flag, short: 'V' } },
    })
  } catch (error) {
    return `${errorText(error)}\n\n${USAGE}`
  }
}

function tell(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function complain(text: string): number {
  process.stderr.write(`${text}\n`)
  return 2
}

makeFilesPrivate()
exitOnCrash(`slipway-agent ${packageFile.version}`)
process.exit(await main(process.argv.slice(2)))
