// Tries many disk states of one recording, a few at a time.

import { cpus, release } from 'node:os'
import type { PowerCut } from './disk-states.ts'
import type { FileSystem } from './recorded-disk.ts'
import { tryState } from './replay.ts'
import type { Finding, Recording } from './replay.ts'

/** States that are tried at the same time: one more than there are cores, because each waits for its disk part of the time. */
const STATES_AT_ONCE = Math.min(4, cpus().length + 1)
/** Share of the states that the file system itself may refuse to mount: xfs now and then does after torn writes, whatever the agent wrote. */
const UNMOUNTABLE_SHARE_MAX = 0.1
/** The first version of Linux that can mount two btrfs file systems with the same UUID at a time. */
const BTRFS_COPIES_SINCE = '6.7'

export interface CampaignOptions {
  /** The campaign ends after this many findings. */
  readonly findingsMax: number
  /** Called after every state. */
  readonly onState?: (tried: number, finding: Finding | undefined) => void
}

/** Tries the states in order. Returns how many were tried, and the findings. */
export async function tryStates(
  recording: Recording,
  cuts: readonly PowerCut[],
  { findingsMax, onState }: CampaignOptions,
): Promise<{ readonly tried: number; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = []
  const waiting = [...cuts]
  let tried = 0
  let unmountable = 0
  const work = async (): Promise<void> => {
    for (let cut = waiting.shift(); cut && findings.length < findingsMax; cut = waiting.shift()) {
      const finding = await tryState(recording, cut)
      tried++
      if (finding?.isUnmountable && ++unmountable <= cuts.length * UNMOUNTABLE_SHARE_MAX) continue
      if (finding) findings.push(finding)
      onState?.(tried, finding)
    }
  }
  await Promise.all(Array.from({ length: statesAtOnce(recording.fileSystem) }, work))
  return { tried, findings }
}

function statesAtOnce(fileSystem: FileSystem): number {
  const isNewEnough = release().localeCompare(BTRFS_COPIES_SINCE, undefined, { numeric: true }) >= 0
  return fileSystem === 'btrfs' && !isNewEnough ? 1 : STATES_AT_ONCE
}

/** Describes a finding so that it can be reproduced. */
export function describeFinding({ cut, message }: Finding): string {
  return `${JSON.stringify(cut)}: ${message}`
}
