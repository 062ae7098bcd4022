// The simulated agents of the benches `fleet` and `page`: a process of their own, and their stores in the database of a bot.

import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { createRegistry } from '../../bot/fleet/registry.ts'
import { openDatabase } from '../../bot/system/database.ts'

export interface FleetAgents {
  readonly registered: readonly { readonly name: string; readonly url: string; readonly token: string; readonly zone: string; readonly storeId: string }[]
  /** Sends a line; returns the number of open streams. */
  tell(line: string): Promise<number>
}

export interface FleetSize {
  readonly agents: number
  readonly zones: number
  /** Images of each agent. */
  readonly images: number
}

/** Starts the agents; they end with the stack. */
export async function startFleetAgents(stack: AsyncDisposableStack, { agents, zones, images }: FleetSize): Promise<FleetAgents> {
  const program = Bun.spawn([process.execPath, join(import.meta.dirname, 'fleet-agents-program.ts'), String(agents), String(zones), String(images)], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  stack.defer(async () => {
    program.kill()
    await program.exited
  })
  const lines = createInterface({ input: Readable.fromWeb(program.stdout) })[Symbol.asyncIterator]()
  const next = async (): Promise<string> => (await lines.next()).value ?? ''
  const registered = JSON.parse(await next()) as FleetAgents['registered']
  return {
    registered,
    async tell(line) {
      await program.stdin.write(`${line}\n`)
      await program.stdin.flush()
      return Number(await next())
    },
  }
}

/** Adds the stores of the agents to the database of a bot. */
export function registerAgents(home: string, registered: FleetAgents['registered']): void {
  using database = openDatabase(home)
  const registry = createRegistry(database)
  database.transaction(() => {
    for (const store of registered) registry.add({ ...store, provider: 'local' }, Date.now())
  })()
}

/** Returns how many stores of a bot are kept; with a kind, only those that were last seen so. */
export function statesOf(home: string, kind?: string): number {
  using database = openDatabase(home)
  const row = database.query<{ n: number }, { kind: string | null }>('SELECT count(*) AS n FROM fleet_states WHERE $kind IS NULL OR kind = $kind')
  return row.get({ kind: kind ?? null })?.n ?? 0
}

/** Returns how many images the catalogue of a bot has. */
export function imagesOf(home: string): number {
  using database = openDatabase(home)
  return database.query<{ n: number }, []>('SELECT count(*) AS n FROM catalogue_images').get()?.n ?? 0
}
