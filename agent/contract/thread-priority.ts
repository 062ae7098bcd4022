// Priority of worker threads: the event loop answers requests and feeds the workers, so it goes first where there are more threads than
// cores. Numbers are nice values; they count among the threads of the agent's control group only.

import { platform, setPriority } from 'node:os'

/** For work that a request waits for, such as cutting an upload. */
export const PRIORITY_OF_WORK = 10
/** For work that nobody waits for. */
export const PRIORITY_OF_BACKGROUND = 19

/** Lowers the priority of the calling thread. */
export function lowerThreadPriority(nice: typeof PRIORITY_OF_WORK | typeof PRIORITY_OF_BACKGROUND): void {
  // Elsewhere than on Linux (setpriority(2), "C library/kernel differences") it would be that of the whole process.
  if (platform() !== 'linux') return
  try {
    setPriority(0, nice)
  } catch {
    // A sandbox that forbids it makes answers slower under load and nothing else.
  }
}
