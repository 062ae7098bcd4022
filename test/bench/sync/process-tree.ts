// Reads CPU time and memory of a process with its descendants, because rsync, casync and nginx work in several processes.

import { readFileSync } from 'node:fs'
import { residentBytesMax } from '../../support/agents/resident-memory.ts'

/** Ticks per second of times in /proc. */
const TICKS = 100

/** Returns a process and its descendants that are alive. */
export function treeOf(pid: number): number[] {
  const tree = [pid]
  for (let i = 0; i < tree.length; i++) tree.push(...childrenOf(tree[i] ?? 0))
  return tree
}

/** Returns the user and system time of a process and all its descendants, also of those that ended and were waited for, in seconds. */
export function treeCpuSeconds(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + cpuSecondsWithEnded(one), 0)
}

/** Returns the sum of the highest resident memory of each living process of a tree, in bytes. Pages that they share count several times. */
export function treeResidentBytesMax(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + orZero(() => residentBytesMax(one)), 0)
}

function childrenOf(pid: number): number[] {
  const text = orEmpty(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
  return text.split(' ').filter(Boolean).map(Number)
}

/** Sums fields 14 to 17: own time, and that of children that were waited for (proc(5)). */
function cpuSecondsWithEnded(pid: number): number {
  const fields =
    orEmpty(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
      .split(') ')
      .at(-1)
      ?.split(' ') ?? []
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0) / TICKS
}

/** A process may end between two reads; then it counts as nothing. */
function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

function orZero(read: () => number): number {
  try {
    return read()
  } catch {
    return 0
  }
}
