// Findings of one scrub: what it read, and what is damaged. Lists are bounded; the log has the rest.

/** Findings of one kind that a report lists. */
const FINDINGS_MAX = 1000

export interface Findings {
  /** Slices and bytes of records read so far. */
  slices: number
  bytes: number
  readonly corrupt: { digest: string; pack: string; offset: number }[]
  /** Faults of the frame of a pack or of the index database, one sentence each. */
  readonly faults: string[]
}

/** Adds a finding to the list of its kind unless the list is full. */
export function addFinding<Finding>(list: Finding[], finding: Finding): void {
  if (list.length < FINDINGS_MAX) list.push(finding)
}
