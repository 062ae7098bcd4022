// Byte budget: how many bytes all bodies together process before the event loop runs other work. Bytes that wait in memory are processed
// without a pause, and eight uploads at full speed have many: HEAD and health would wait behind all of them.

import type { Clock } from '../../contract/runtime.ts'

/** Bytes that are processed in about a millisecond. */
const STRETCH_BYTES = 2 * 1024 * 1024

export interface ByteBudget {
  /** Counts processed bytes. The caller awaits the pause, if one is returned, before it processes more. */
  spend(bytes: number): Promise<void> | undefined
}

/** Creates the budget that all bodies of a store share. */
export function createByteBudget(clock: Pick<Clock, 'sleep'>): ByteBudget {
  let spent = 0
  let pause: Promise<void> | undefined
  return {
    spend(bytes) {
      spent += bytes
      if (spent < STRETCH_BYTES) return undefined
      pause ??= clock.sleep(0).then(() => {
        spent = 0
        pause = undefined
      })
      return pause
    },
  }
}
