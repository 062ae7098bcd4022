// Crash points: a crash test names one, and the process is killed there.

import type { CrashPoint } from '../contract/runtime.ts'

/**
 * Without a plan a crash point does nothing. A plan is `name` or `name#n`: the process is killed (SIGKILL) when that
 * point is passed for the n-th time.
 */
export function createCrashPoint(plan: string | undefined): CrashPoint {
  if (plan === undefined || plan === '') return () => {}
  const [, planned, count] = /^(.*?)(?:#(\d+))?$/.exec(plan) ?? []
  let left = Number(count ?? 1)
  return (name) => {
    if (name !== planned) return
    left--
    if (left <= 0) process.kill(process.pid, 'SIGKILL')
  }
}
