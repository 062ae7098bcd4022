// What the connections of the service saw since the last observation, in memory. It is filled with what arrives anyway, so that an observation asks no agent
// and reads no state from the database.

import { judge } from '../fleet/judge.ts'
import type { Sighting } from '../fleet/states.ts'
import { findingsOf } from './findings.ts'
import type { Finding, Findings } from './findings.ts'
import type { HealthState } from '../../protocol/health.ts'

/** What is known of one store. */
export interface SeenStore {
  readonly state: HealthState
  /** As it is now; a finding that was bad since the last observation is bad. */
  readonly findings: Findings
}

export interface SeenStores {
  saw(sightings: readonly Sighting[]): void
  /** Returns what is known of a store that was seen since the service was started. */
  find(name: string): SeenStore | undefined
  /** Begins the next observation, and forgets stores that are not among these. */
  next(names: ReadonlySet<string>): void
}

interface Kept {
  state: HealthState
  now: Findings
  /** Bad ones since the last observation that are good now. */
  readonly passed: Map<string, Finding>
}

/** Creates the record of what was seen. Names of stores ignore case. */
export function createSeenStores(): SeenStores {
  const stores = new Map<string, Kept>()
  return {
    saw(sightings) {
      for (const sighting of sightings) {
        const observation = judge(sighting)
        const key = sighting.store.name.toLowerCase()
        const findings = findingsOf(observation)
        const kept = stores.get(key)
        if (!kept) {
          stores.set(key, { state: observation.state, now: findings, passed: new Map() })
          continue
        }
        for (const [condition, finding] of kept.now) if (finding !== 'good') kept.passed.set(condition, finding)
        kept.state = observation.state
        kept.now = findings
      }
    },
    find(name) {
      const kept = stores.get(name.toLowerCase())
      if (!kept) return undefined
      if (kept.passed.size === 0) return { state: kept.state, findings: kept.now }
      const findings = new Map(kept.now)
      for (const [condition, finding] of kept.passed) if (findings.get(condition) === 'good') findings.set(condition, finding)
      return { state: kept.state, findings }
    },
    next(names) {
      for (const [key, kept] of stores) {
        if (names.has(key)) kept.passed.clear()
        else stores.delete(key)
      }
    },
  }
}
