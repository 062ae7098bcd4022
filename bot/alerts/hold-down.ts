// The machine of one finding, one step for each observation. It opens when a finding lasts, keeps a finding that comes and goes open and counts how often
// it came back, and closes when it stays away. Pure.

import { GOOD_MAX } from './conditions.ts'
import type { HoldDown } from './conditions.ts'

export interface Machine {
  /** The last observations as bits, the newest lowest, 1 for bad; not used while open. */
  readonly recent: number
  /** Observations without the finding since the last one with it; only while open. */
  readonly good: number
  /** How often the finding came back while the alert was open. */
  readonly flaps: number
  readonly isOpen: boolean
}

export type Transition = 'none' | 'opened' | 'returned' | 'resolved'

/** A machine that has seen nothing. */
export const QUIET: Machine = { recent: 0, good: 0, flaps: 0, isOpen: false }

/** Returns the machine after one more observation, and what that changed. A closed machine with `recent` 0 can be forgotten. */
export function step(machine: Machine, isBad: boolean, rule: HoldDown): { readonly machine: Machine; readonly transition: Transition } {
  if (!machine.isOpen) {
    const recent = ((machine.recent << 1) | (isBad ? 1 : 0)) & ((1 << rule.of) - 1)
    if (countBits(recent) < rule.bad) return { machine: { ...machine, recent }, transition: 'none' }
    return { machine: { recent: 0, good: 0, flaps: machine.flaps, isOpen: true }, transition: 'opened' }
  }
  if (isBad && machine.good === 0) return { machine, transition: 'none' }
  if (isBad) return { machine: { ...machine, good: 0, flaps: machine.flaps + 1 }, transition: 'returned' }
  const good = machine.good + 1
  if (good < goodNeeded(rule, machine.flaps)) return { machine: { ...machine, good }, transition: 'none' }
  return { machine: QUIET, transition: 'resolved' }
}

/** The observations without the finding after which it is resolved: more for one that came back often. */
export function goodNeeded(rule: HoldDown, flaps: number): number {
  // 2^10 times the shortest hold-down is beyond the bound.
  return Math.min(GOOD_MAX, rule.good * 2 ** Math.min(flaps, 10))
}

function countBits(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
