// The engine of the service: observes the fleet at an interval, and writes what people are told in the same transaction as the incidents that it is about.

import type { Registry } from '../fleet/registry.ts'
import type { Sighting } from '../fleet/states.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'
import type { Alerts } from './alerts.ts'
import { OBSERVE_MS } from './conditions.ts'
import { createJournal } from './journal.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { createMachines } from './machines.ts'
import { observe } from './observe.ts'
import { createPosts } from './posts.ts'
import { readQuiet } from './quiet.ts'
import { createSeenStores } from './sightings.ts'
import { tell } from './tell.ts'

/** Interval at which acknowledgements, silences and their ends are noticed, in milliseconds. */
const TELL_MS = 1_000
/** Interval at which old incidents are deleted, in milliseconds. */
const PRUNE_MS = 3_600_000

export interface RunAlertsDeps {
  readonly alerts: Alerts
  readonly registry: Pick<Registry, 'list'>
  readonly database: BotDatabase
  readonly outbox: Pick<Outbox, 'put'>
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'every'>
  readonly log: Log
  /** Interval between two observations in milliseconds; OBSERVE_MS unless a test is in a hurry. */
  readonly observeMs?: number
}

export interface RunningAlerts extends Disposable {
  /** Takes what the connections saw. */
  saw(sightings: readonly Sighting[]): void
}

/** Observes the fleet until it is disposed. */
export function runAlerts(deps: RunAlertsDeps): RunningAlerts {
  const { alerts, registry, database, outbox, clock, log, observeMs = OBSERVE_MS } = deps
  const { incidents, silences, subscriptions } = alerts
  const machines = createMachines(database)
  const posts = createPosts(database)
  const seen = createSeenStores()
  const journal = createJournal(database, incidents, log)
  let observedMs = clock.monotonicMs()
  let prunedMs = Number.NEGATIVE_INFINITY

  const pass = database.transaction((isObservation: boolean, isPrune: boolean) => {
    const nowMs = clock.nowMs()
    const stores = registry.list()
    const quietOf = readQuiet(stores, silences, nowMs)
    if (isObservation) observe({ incidents, machines, seen, quietOf }, stores, nowMs)
    tell({ incidents, machines, posts, subscriptions, outbox, quietOf, nowMs }, stores)
    incidents.settle()
    if (!isPrune) return
    incidents.prune(nowMs)
    posts.prune()
  })
  const timer = clock.every(Math.min(TELL_MS, observeMs), () => {
    const nowMs = clock.monotonicMs()
    const isObservation = nowMs - observedMs >= observeMs
    const isPrune = nowMs - prunedMs >= PRUNE_MS
    try {
      if (!isObservation && incidents.live().length === 0) return
      pass.immediate(isObservation, isPrune)
      if (isObservation) observedMs = nowMs
      if (isPrune) prunedMs = nowMs
      journal()
    } catch (error) {
      log.error('alerts could not be written', { error })
    }
  })
  return { saw: (sightings) => seen.saw(sightings), [Symbol.dispose]: () => timer[Symbol.dispose]() }
}
