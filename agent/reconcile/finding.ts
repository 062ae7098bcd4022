// One finding while it is looked for: what a client sees of it, and how its action runs.

import { basename, join } from 'node:path'
import type { Finding } from '../../protocol/reconcile.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'

/**
 * Files and uploads that changed less than this many milliseconds ago are not findings: an operation may still be writing them. No operation leaves a
 * file it needs untouched for a day.
 */
export const RECONCILE_AGE_MS = 24 * 3_600_000

/** A finding with its action, which returns what it did as a sentence. The action is durable when it resolves. Throws ProblemError and disk errors. */
export interface FoundFinding {
  readonly finding: Finding
  run(actor: string): Promise<string>
}

export interface FindingFacts extends Omit<Finding, 'id' | 'since'> {
  readonly sinceMs: number | null
  /** Distinguishes this finding from a later one with the same target, whose action was not requested. */
  readonly essence: string
}

/** Returns a finding with its id, which follows from its kind, target and essence. */
export function findingOf({ sinceMs, essence, ...facts }: FindingFacts): Finding {
  const id = `fnd_${Bun.hash
    .xxHash64(JSON.stringify([facts.kind, facts.target, essence]))
    .toString(16)
    .padStart(16, '0')}`
  return { id, ...facts, since: sinceMs === null ? null : formatTime(sinceMs) }
}

/** Moves a file or folder of the mount path into quarantine/, under a name that no other finding has. */
export async function moveToQuarantine(disk: Disk, mount: string, { id, target }: Pick<Finding, 'id' | 'target'>): Promise<string> {
  const name = `${id}.${basename(target)}`
  await disk.makeFolder(join(mount, 'quarantine'))
  await disk.rename(join(mount, target), join(mount, 'quarantine', name))
  return `It was moved to quarantine/${name}.`
}
