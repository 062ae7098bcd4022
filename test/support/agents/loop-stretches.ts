// How long a process keeps its event loop busy at a time, in CPU time of its main thread, so that a busy machine does not count.

import { readFileSync } from 'node:fs'

/** A stretch above this counts as long, in milliseconds. */
const LONG_STRETCH_MS = 50

/** What was seen of the stretches between two rounds of an event loop, in milliseconds of CPU time. */
interface LoopStretches {
  readonly longestMs: number
  /** Stretches above LONG_STRETCH_MS. */
  readonly long: number
}

/** Nanoseconds of CPU time that the main thread has run (Linux, schedstat). */
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
