// A bot with registered stores and the alert engine, on a clock that the test moves. The test says what the connections see.

import { runAlerts } from '../../../bot/alerts/run.ts'
import type { Incident } from '../../../bot/alerts/incidents.ts'
import { runLine } from '../../../bot/commands/run.ts'
import type { Sighting } from '../../../bot/fleet/states.ts'
import { openBot } from '../../../bot/open.ts'
import { openDatabase, openMemoryDatabase } from '../../../bot/system/database.ts'
import { createLog } from '../../../bot/system/log.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Check, CheckState } from '../../../protocol/health.ts'
import { makeProblem, ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { storeOf } from '../commands/scripted-fleet.ts'

export const START_MS = Date.UTC(2026, 0, 1)

/** How a store is seen: its failing checks with their states, `stopped`, or `refused`. */
export type Look = Readonly<Record<string, CheckState>> | 'stopped' | 'refused'

/** A message in the outbox. */
export interface Message {
  readonly key: string
  readonly channel: string
  readonly threadKey: string
  readonly revision: number
  readonly view: View
}

/** Opens the engine with stores by name and zone; `home` is a folder that survives `restart`. */
export function openAlertScene(stores: Readonly<Record<string, string>>, home?: string) {
  const clock = createManualClock(START_MS)
  const open = () => {
    const bot = openBot('', {
      clock,
      database: home === undefined ? openMemoryDatabase() : openDatabase(home),
      fetch: () => Promise.reject(new Error('nobody is asked')),
    })
    const log = createLog({ clock, level: 'info', write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
    return { bot, engine: runAlerts({ alerts: bot.alerts, registry: bot.fleet.registry, database: bot.database, outbox: bot.outbox, clock, log }) }
  }
  const lines: Record<string, unknown>[] = []
  let running = open()
  for (const [name, zone] of Object.entries(stores)) {
    if (!running.bot.fleet.registry.find(name))
      running.bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 't', zone, provider: 'local', storeId: null }, clock.nowMs())
  }
  const sightingOf = (name: string, look: Look): Sighting => {
    const store = running.bot.fleet.registry.find(name)
    if (!store) throw new Error(`${name} is not registered`)
    const asOfMs = clock.nowMs()
    if (look === 'stopped') return { kind: 'stopped', store, sinceMs: asOfMs, lastSeenMs: null, reason: `${store.url} fell silent.`, asOfMs }
    if (look === 'refused') {
      const problem = makeProblem('unauthenticated', 'The token is not known here.')
      return { kind: 'refused', store, problem, error: new ProblemError(problem), asOfMs }
    }
    const failing: Check[] = Object.entries(look).map(([check, state]) => ({
      name: check,
      state,
      measured: `${check} is ${state}`,
      limit: null,
      impact: `Impact of ${check}.`,
      action: `Action for ${check}.`,
    }))
    const well: Check = { name: 'process', state: 'ok', measured: '', limit: null, impact: '', action: '' }
    const state = failing.some((check) => check.state !== 'ok') ? 'degraded' : 'running'
    return { kind: 'answered', store, value: { health: { state, checks: [well, ...failing], asOf: '' }, store: storeOf({ name }), tasks: null }, asOfMs }
  }
  const scene = {
    clock,
    /** Lines of the log. */
    lines,
    get bot() {
      return running.bot
    },
    /** The connections see these stores like this. */
    see(looks: Readonly<Record<string, Look>>) {
      running.engine.saw(Object.entries(looks).map(([name, look]) => sightingOf(name, look)))
    },
    /** Lets time pass in steps of a second. */
    pass(seconds: number) {
      for (let i = 0; i < seconds; i++) clock.advance(1000)
    },
    incidents: (): Incident[] => running.bot.alerts.incidents.list({ hasResolved: true, limit: 1000 }).toReversed(),
    open: (): string[] => running.bot.alerts.incidents.list({ limit: 1000 }).map(({ store, zone, condition }) => `${store === '' ? zone : store} ${condition}`),
    run: (line: string, role: Role = 'admin', channel?: string, roleIn?: (store: { readonly name: string }) => Role): Promise<View> =>
      runLine({ ...running.bot.context({ name: 'ann', role, ...(roleIn ? { roleIn } : {}) }, 'console'), ...(channel === undefined ? {} : { channel }) }, line),
    /** What waits for Slack, in the order in which it was put. */
    messages: (): Message[] =>
      running.bot.database
        .query<{ key: string; channel: string; thread_key: string; view: string; revision: number }, []>('SELECT * FROM outbox ORDER BY rowid')
        .all()
        .map(({ thread_key: threadKey, view, ...row }) => ({ ...row, threadKey, view: JSON.parse(view) as View })),
    /** Ends the engine without any farewell, as SIGKILL does, and starts another one on the same database. */
    restart() {
      running.engine[Symbol.dispose]()
      running.bot[Symbol.dispose]()
      running = open()
    },
    [Symbol.dispose]() {
      running.engine[Symbol.dispose]()
      running.bot[Symbol.dispose]()
    },
  }
  return scene
}
