// Priority of worker threads: the event loop answers requests and feeds the workers, so it runs first when there are more threads than cores.
// Numbers are nice values; they matter only among the threads of the agent's control group.

import { platform, setPriority } from 'node:os'

/** For work that a request waits for, such as cutting an upload. */
export const PRIORITY_OF_WORK = 10
/** For background work that no request waits for. */
export const PRIORITY_OF_BACKGROUND = 19

/** Lowers the priority of the calling thread. */
export function lowerThreadPriority(nice: typeof PRIORITY_OF_WORK | typeof PRIORITY_OF_BACKGROUND): void {
  // On Linux, setpriority(2) changes one thread ("C library/kernel differences"); elsewhere it would change the whole process.
  if (platform() !== 'linux') return
  try {
    setPriority(0, nice)
  } catch {
    // When a sandbox forbids it, responses are slower under load; nothing else changes.
  }
}
