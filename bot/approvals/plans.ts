// The plans that were shown before somebody typed a name. A plan is named by the hash of everything that it promises; what it promised is kept, so that a
// plan that has changed can say how.

import type { BotDatabase } from '../system/database.ts'
import { plural } from '../../protocol/views/phrases.ts'

/** Plans that are kept; the oldest are forgotten, and a change of them is then not described. */
export const PLANS_KEPT = 500
/** A longer plan is not kept, in characters of its JSON. */
export const PLAN_LENGTH_MAX = 131_072
/** Changes that are named; the rest is counted. */
const CHANGES_NAMED_MAX = 8

/** A figure that a plan promises, as it was shown. */
export interface PlanPromise {
  readonly label: string
  readonly value: string
  /** A guess such as a duration, which may be another one at the next look without changing the plan. */
  readonly isEstimate?: boolean
}

/** Everything that a plan promises. Words that only explain are no part of it. */
export interface PlanFacts {
  readonly names: readonly string[]
  /** What the plan reaches: ids and stores, one line for each. */
  readonly essence: readonly string[]
  readonly checks: readonly { readonly label: string; readonly passed: boolean }[]
  readonly promises: readonly PlanPromise[]
}

export interface ShownPlans {
  /** Keeps a plan that is shown; returns its hash. */
  keep(facts: PlanFacts, nowMs: number): string
  /** The plan with this hash; undefined when it was never shown here, or was forgotten. */
  find(hash: string): PlanFacts | undefined
}

/** Returns the hash of a plan: 128 bits of SHA-256, as hex digits. */
export function planHash({ names, essence, checks, promises }: PlanFacts): string {
  const promised = promises.flatMap(({ label, value, isEstimate }) => (isEstimate ? [] : [[label, value]]))
  const text = JSON.stringify(['slipway-plan-1', names, essence, checks.map(({ label, passed }) => [label, passed]), promised])
  return new Bun.CryptoHasher('sha256').update(text).digest('hex').slice(0, 32)
}

/** Creates the record of shown plans on the bot's database. */
export function createShownPlans(database: BotDatabase): ShownPlans {
  const put = database.query<null, { hash: string; facts: string; now: number }>(
    'INSERT OR REPLACE INTO shown_plans (hash, facts, shown_ms) VALUES ($hash, $facts, $now)',
  )
  const trim = database.query<null, { kept: number }>(
    'DELETE FROM shown_plans WHERE hash NOT IN (SELECT hash FROM shown_plans ORDER BY shown_ms DESC LIMIT $kept)',
  )
  const find = database.query<{ facts: string }, { hash: string }>('SELECT facts FROM shown_plans WHERE hash = $hash')
  const keep = database.transaction((hash: string, facts: string, now: number): void => {
    put.run({ hash, facts, now })
    trim.run({ kept: PLANS_KEPT })
  })
  return {
    keep(facts, nowMs) {
      const hash = planHash(facts)
      const text = JSON.stringify(facts)
      if (text.length <= PLAN_LENGTH_MAX) keep.immediate(hash, text, nowMs)
      return hash
    },
    find(hash) {
      const row = find.get({ hash })
      return row ? (JSON.parse(row.facts) as PlanFacts) : undefined
    },
  }
}

/** Returns what differs between two plans, one sentence for each change. */
export function planChanges(before: PlanFacts, now: PlanFacts): string[] {
  const changes = [
    ...changedNames(before, now),
    ...changedValues('is checked now', before.checks.map(checkValue), now.checks.map(checkValue)),
    ...changedValues('is new', before.promises.filter(isPromised), now.promises.filter(isPromised)),
  ]
  return changes.length > CHANGES_NAMED_MAX
    ? [...changes.slice(0, CHANGES_NAMED_MAX), `${plural(changes.length - CHANGES_NAMED_MAX, 'more change')}.`]
    : changes
}

function changedNames(before: PlanFacts, now: PlanFacts): string[] {
  const of = ({ names, essence }: PlanFacts): string[] => [...names, ...essence]
  const [was, is] = [new Set(of(before)), new Set(of(now))]
  return [
    ...[...is].filter((word) => !was.has(word)).map((word) => `New: ${word}.`),
    ...[...was].filter((word) => !is.has(word)).map((word) => `Gone: ${word}.`),
  ]
}

function checkValue({ label, passed }: PlanFacts['checks'][number]): PlanPromise {
  return { label, value: passed ? 'passed' : 'not passed' }
}

function isPromised({ isEstimate }: PlanPromise): boolean {
  return isEstimate !== true
}

function changedValues(added: string, before: readonly PlanPromise[], now: readonly PlanPromise[]): string[] {
  const was = new Map(before.map(({ label, value }) => [label, value]))
  const is = new Map(now.map(({ label, value }) => [label, value]))
  return [
    ...[...is].flatMap(([label, value]) => {
      const old = was.get(label)
      if (old === value) return []
      return [old === undefined ? `${label} ${added}: ${value}.` : `${label}: ${value}, it was ${old}.`]
    }),
    ...[...was.keys()].filter((label) => !is.has(label)).map((label) => `${label} is no longer in it.`),
  ]
}
