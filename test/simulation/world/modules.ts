// Loads the modules of the agent with the simulated ones in place of those of the runtime, with small limits so that a few kilobytes fill
// packs and segments, with the program of the ingest worker as a function, and with at most one planted defect.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A change of one module of the agent: a text that is there exactly once, and what replaces it. */
export interface Replacement {
  /** Ending of the module's path. */
  readonly module: string
  readonly sound: string
  readonly planted: string
}

const SIMULATED: Readonly<Record<string, string>> = {
  'node:fs/promises': 'simulated-fs-promises.ts',
  'node:fs': 'simulated-fs.ts',
  'node:os': 'simulated-os.ts',
  'bun:sqlite': 'simulated-sqlite.ts',
}

const WORKER = 'declare const self: Worker\n'
/** Limits as they are during a simulation, and timers that would only cost events. */
const SMALL: readonly Replacement[] = [
  {
    module: '/agent/slices/packs/parameters.ts',
    sound: '{ block: 4 * KIB, minimum: 8 * KIB, average: 32 * KIB, maximum: 128 * KIB }',
    planted: '{ block: 512, minimum: 1 * KIB, average: 2 * KIB, maximum: 8 * KIB }',
  },
  { module: '/agent/slices/packs/parameters.ts', sound: 'SEGMENT_BYTES = 2 * MIB', planted: 'SEGMENT_BYTES = 32 * KIB' },
  { module: '/agent/slices/packs/parameters.ts', sound: 'PACK_SEAL_BYTES = 128 * MIB', planted: 'PACK_SEAL_BYTES = 64 * KIB' },
  { module: '/agent/schedule/schedules.ts', sound: 'const TICK_MS = 1000', planted: 'const TICK_MS = 60_000' },
  { module: '/agent/system/lease.ts', sound: 'LEASE_BEAT_MS = 5000', planted: 'LEASE_BEAT_MS = 100_000' },
  { module: '/agent/health/health.ts', sound: 'const WATCH_IDLE_MS = 9000', planted: 'const WATCH_IDLE_MS = 300_000' },
  { module: '/agent/health/health.ts', sound: 'const WATCH_MS = 1500', planted: 'const WATCH_MS = 60_000' },
  // An agent uses no processor time here, so it is idle and ticks this slowly.
  { module: '/agent/health/event-loop.ts', sound: 'const IDLE_TICK_MS = 1000', planted: 'const IDLE_TICK_MS = 600_000' },
  { module: '/agent/health/event-loop.ts', sound: 'const TICK_MS = 100\n', planted: 'const TICK_MS = 600_000\n' },
  { module: '/agent/sync/origins/origins.ts', sound: 'const PROBE_STEP_MS = 1000', planted: 'const PROBE_STEP_MS = 20_000' },
  { module: '/agent/slices/rebuild/index-upkeep.ts', sound: 'const FILTER_CHECK_MS = 5000', planted: 'const FILTER_CHECK_MS = 60_000' },
  { module: '/agent/images/catalogue.ts', sound: 'const RELOAD_MS = 30_000', planted: 'const RELOAD_MS = 60_000' },
  { module: '/agent/visibility/indexer.ts', sound: 'const RETRY_MS = 30_000', planted: 'const RETRY_MS = 60_000' },
  { module: '/agent/system/ballast.ts', sound: 'const REFILL_LOOK_MS = 30_000', planted: 'const REFILL_LOOK_MS = 300_000' },
  // The slices of an abandoned sync are kept a day; the emptying of the stores waits for that.
  { module: '/agent/sync/leases.ts', sound: 'LEASE_MS = 24 * 3_600_000\n', planted: 'LEASE_MS = 6 * 3_600_000\n' },
]

/** Installs the loader; call it before any module of the agent is loaded. Throws when a replacement names no module, or several. */
export function installModules(planted: readonly Replacement[]): void {
  requireModules([...SMALL, ...planted])
  Bun.plugin({
    name: 'simulation',
    setup(build) {
      build.onLoad({ filter: /\/agent\/.*\.ts$|\/simulated-disk\.ts$/ }, ({ path }) => ({ contents: simulatedSource(path, planted), loader: 'ts' }))
    },
  })
}

/** Loads the programs of the agents' threads; call it after the replacements are installed. */
export async function loadWorkers(): Promise<void> {
  await import('../../../agent/images/digest/digest-worker.ts')
  await import('../../../agent/slices/index/index-worker.ts')
  await import('../../../agent/slices/write/ingest-worker.ts')
}

/** A module that was moved would be loaded as it is, and a planted defect would be an agent without one. */
function requireModules(replacements: readonly Replacement[]): void {
  const root = join(import.meta.dir, '../../..')
  const files = ['agent', 'test/simulation'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `/${folder}/${name}`),
  )
  for (const { module } of replacements) {
    const found = files.filter((file) => file.endsWith(module))
    if (found.length !== 1) throw new Error(`${found.length} modules end with ${module}`)
  }
}

function simulatedSource(path: string, planted: readonly Replacement[]): string {
  let source = readFileSync(path, 'utf8')
  for (const { module, sound, planted: instead } of [...SMALL, ...planted]) {
    if (!path.endsWith(module)) continue
    if (source.split(sound).length !== 2) throw new Error(`${path} does not have this exactly once: ${sound}`)
    source = source.replace(sound, () => instead)
  }
  for (const [name, file] of Object.entries(SIMULATED)) source = source.replaceAll(`from '${name}'`, `from ${JSON.stringify(join(import.meta.dir, file))}`)
  const [imports, program] = source.split(WORKER)
  if (imports === undefined || program === undefined) return source
  const name = /([^/]+)\.ts$/.exec(path)?.[1]
  const register = `import { registerWorker } from ${JSON.stringify(join(import.meta.dir, 'simulated-worker.ts'))}`
  return `${register}\n${imports}\nregisterWorker(${JSON.stringify(name)}, (self) => {\n${program}\n})`
}
