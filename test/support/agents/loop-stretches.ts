// Measures how long a process blocks its event loop, in CPU time of its main thread, so that a busy machine does not affect it.

import { readFileSync } from 'node:fs'

/** A stretch above this counts as long, in milliseconds. */
const LONG_STRETCH_MS = 50

/** The measured stretches between two iterations of an event loop, in milliseconds of CPU time. */
interface LoopStretches {
  readonly longestMs: number
  /** Stretches above LONG_STRETCH_MS. */
  readonly long: number
}

/** Returns the CPU time of the main thread in nanoseconds (Linux, schedstat). */
function mainThreadNs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0])
}

/** Watches the event loop until `stop`. */
export function monitorLoop(): { stop(): LoopStretches } {
  let longestMs = 0
  let long = 0
  let sinceNs = mainThreadNs()
  let isStopped = false
  const look = (): void => {
    const stretchMs = (mainThreadNs() - sinceNs) / 1e6
    longestMs = Math.max(longestMs, stretchMs)
    if (stretchMs > LONG_STRETCH_MS) long++
    sinceNs = mainThreadNs()
  }
  const round = (): void => {
    look()
    if (!isStopped) setTimeout(round, 0)
  }
  setTimeout(round, 0)
  return {
    stop() {
      isStopped = true
      look()
      return { longestMs, long }
    },
  }
}
