// When each person last looked at the home tab, so that it says what changed since. What a person sees within a few minutes is one look: publishing
// the home again does not hide what was new.

import type { Asked } from '../../fleet/asked.ts'
import type { KeptFleet } from '../../fleet/kept-fleet.ts'
import type { Clock } from '../../system/clock.ts'

/** Openings of the home within this time of the one before are the same look, in milliseconds. */
export const LOOK_MS = 10 * 60_000

export interface Looks {
  /** Records that a person opened the home. */
  opened(user: string): void
  /** The look before the present one; undefined for the first. */
  before(user: string): Asked | undefined
  /** Who opened the home within LOOK_MS. */
  recent(): string[]
}

interface Look {
  readonly before: Asked | undefined
  openedMs: number
}

/** Creates the looks of one workspace. The last one of each person is in the database; which of them are the same look is forgotten at a restart. */
export function createLooks({ asked, changes }: Pick<KeptFleet, 'asked' | 'changes'>, clock: Pick<Clock, 'nowMs'>): Looks {
  const looks = new Map<string, Look>()
  const forget = (nowMs: number): void => {
    for (const [user, { openedMs }] of looks) if (Math.abs(nowMs - openedMs) > LOOK_MS) looks.delete(user)
  }
  return {
    opened(user) {
      const nowMs = clock.nowMs()
      forget(nowMs)
      const last = asked.ask(`slack ${user}`, 'home', { askedMs: nowMs, changeId: changes.latestId() })
      const same = looks.get(user)
      if (same) same.openedMs = nowMs
      else looks.set(user, { before: last, openedMs: nowMs })
    },
    before: (user) => looks.get(user)?.before,
    recent() {
      forget(clock.nowMs())
      return [...looks.keys()]
    },
  }
}
