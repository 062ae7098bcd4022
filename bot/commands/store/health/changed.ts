// What changed since the same person last asked the same.

import type { HealthState } from '../../../../protocol/health.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration } from '../../../../protocol/units.ts'
import type { Asked } from '../../../fleet/asked.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { KeptFleet } from '../../../fleet/kept-fleet.ts'
import { stateWord } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'

/** Changed stores that are named. */
const NAMED_MAX = 5

/** A store whose state is another one than before, or that changed and came back. */
interface ChangedStore {
  readonly store: string
  readonly before: HealthState
  readonly now: HealthState
  readonly changes: number
}

export interface Changed {
  readonly text: string
  readonly json: Record<string, unknown>
}

/** Returns what changed of these stores since the person last asked about the same scope; undefined for the first question. */
export function changesSinceAsked(
  { fleet: { kept }, clock, actor, surface }: CommandContext,
  scope: string,
  seen: readonly Observation[],
): Changed | undefined {
  if (!kept) return undefined
  const nowMs = clock.nowMs()
  const before = kept.asked.ask(`${surface} ${actor.name}`, scope, { askedMs: nowMs, changeId: kept.changes.latestId() })
  return before && changesAfter(kept, before, seen, `since you last asked, ${formatDuration(Math.max(0, nowMs - before.askedMs))} ago`)
}

/** Returns what changed of these stores after an earlier question; `when` says in words when that was. */
export function changesAfter({ changes }: Pick<KeptFleet, 'changes'>, before: Asked, seen: readonly Observation[], when: string): Changed {
  const stores = changedStores(changes.after(before.changeId), seen)
  const named = stores.slice(0, NAMED_MAX).map(changeWords)
  const more = stores.length > NAMED_MAX ? [`${stores.length - NAMED_MAX} more`] : []
  return {
    text: stores.length === 0 ? `nothing ${when}` : `${when}: ${[...named, ...more].join('; ')}`,
    json: { since: formatTime(before.askedMs), stores },
  }
}

function changedStores(changes: readonly { readonly store: string; readonly before: HealthState }[], seen: readonly Observation[]): ChangedStore[] {
  const byStore = Map.groupBy(changes, ({ store }) => store.toLowerCase())
  return seen.flatMap(({ record, state }) => {
    const own = byStore.get(record.name.toLowerCase())
    const [first] = own ?? []
    return own && first ? [{ store: record.name, before: first.before, now: state, changes: own.length }] : []
  })
}

function changeWords({ store, before, now, changes }: ChangedStore): string {
  const often = changes > 2 ? ` (changed ${changes} times)` : ''
  return before === now ? `${store} is ${stateWord(now)} again${often}` : `${store} was ${stateWord(before)} and is ${stateWord(now)}${often}`
}
