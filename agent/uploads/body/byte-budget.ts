// ByteBudget: how many bytes all bodies together take before the event loop goes round. Bytes that wait in memory are taken without
// a pause between them, and of eight uploads at full speed these are many: HEAD and health would stand behind all of them.

import type { Clock } from '../../contract/runtime.ts'

/** Bytes that are taken in about a millisecond. */
const STRETCH_BYTES = 2 * 1024 * 1024

export interface ByteBudget {
  /** Counts bytes that were taken; what it gives, when it gives anything, is to be waited for before the next ones. */
  spend(bytes: number): Promise<void> | undefined
}

/** The byteBudget that all bodies of a store share. */
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
