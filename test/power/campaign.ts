// Many disk states of one recording, two at a time.

import { cpus } from 'node:os'
import type { PowerCut } from './disk-states.ts'
import { tryState } from './replay.ts'
import type { Finding, Recording } from './replay.ts'

/** States that are tried at the same time: one agent works while the disk of another is written. */
const STATES_AT_ONCE = Math.min(2, cpus().length)

export interface CampaignOptions {
  /** Ends after this many findings. */
  readonly findingsMax: number
  /** Told of every state that was tried. */
  readonly onState?: (tried: number, finding: Finding | undefined) => void
}

/** Tries the states in order. Gives how many were tried and what was found. */
export async function tryStates(
  recording: Recording,
  cuts: readonly PowerCut[],
  { findingsMax, onState }: CampaignOptions,
): Promise<{ readonly tried: number; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = []
  const waiting = [...cuts]
  let tried = 0
  const work = async (): Promise<void> => {
    for (let cut = waiting.shift(); cut && findings.length < findingsMax; cut = waiting.shift()) {
      const finding = await tryState(recording, cut)
      tried++
      if (finding) findings.push(finding)
      onState?.(tried, finding)
    }
  }
  await Promise.all(Array.from({ length: STATES_AT_ONCE }, work))
  return { tried, findings }
}

/** What a person needs to see a finding again. */
export function describeFinding({ cut, message }: Finding): string {
  return `${JSON.stringify(cut)}: ${message}`
}
