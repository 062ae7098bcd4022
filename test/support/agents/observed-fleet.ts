// A bot's database and the service that keeps the state of a simulated fleet in it, with time under the control of the test or real.

import { keepFleet } from '../../../bot/fleet/connections.ts'
import { seeStores } from '../../../bot/fleet/see.ts'
import type { Observation } from '../../../bot/fleet/judge.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import type { Clock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'
import type { SimulatedAgent } from './simulated-fleet.ts'

export interface ObservedFleet extends AsyncDisposable {
  readonly bot: OpenBot
  readonly lines: string[]
  /** Starts the service. */
  start(): void
  /** Stops the service cleanly. */
  stop(): Promise<void>
  /** Returns how a store is, as an answer of the bot has it. */
  see(name: string): Promise<Observation>
}

export interface ObservedOptions {
  readonly home: string
  readonly clock: Clock
  readonly agents: readonly SimulatedAgent[]
  readonly reconnectMs?: number
  readonly streamsMax?: number
  readonly contactTimeoutMs?: number
}

/** Registers the agents in a home folder and starts the service. */
export function observeFleet({ home, clock, agents, reconnectMs = 30_000, streamsMax = 200, contactTimeoutMs = 2000 }: ObservedOptions): ObservedFleet {
  const bot = openBot(home, { clock, contactTimeoutMs })
  const { registry } = bot.fleet
  for (const { name, url, token, zone, store } of agents)
    if (!registry.find(name)) registry.add({ name, url, token, zone, provider: 'local', storeId: store.id }, clock.nowMs())
  const lines: string[] = []
  const log = createLog({ clock, level: 'info', write: (line) => void lines.push(line) })
  let service: AsyncDisposable | undefined
  const observed: ObservedFleet = {
    bot,
    lines,
    start() {
      service = keepFleet({ fleet: bot.fleet, database: bot.database, clock, log, reconnectMs, streamsMax, random: () => 0.5 })
    },
    async stop() {
      await service?.[Symbol.asyncDispose]()
      service = undefined
    },
    async see(name) {
      const record = registry.find(name)
      const [seen] = record ? await seeStores({ fleet: bot.fleet, clock }, [record], false) : []
      if (!seen) throw new Error(`${name} is not registered`)
      return seen
    },
    async [Symbol.asyncDispose]() {
      await observed.stop()
      bot[Symbol.dispose]()
    },
  }
  observed.start()
  return observed
}
