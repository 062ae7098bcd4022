// What the bot alerts about: one row for each condition, with its name, meaning, severities and hold-down. Documents and commands read this table.

/** How urgent an alert is, from least to most. */
export const SEVERITIES = ['info', 'warning', 'critical'] as const
export type AlertSeverity = (typeof SEVERITIES)[number]

/** Interval at which findings are observed, in milliseconds. What arrived between two observations counts in the later one. */
export const OBSERVE_MS = 5_000

/** How long a finding must last, in observations. */
export interface HoldDown {
  /** An alert opens when this many of the last `of` observations found it. */
  readonly bad: number
  /** At most 30: the observations are the bits of a number. */
  readonly of: number
  /** It is resolved after this many observations in a row without it; each flap doubles the number, up to GOOD_MAX. */
  readonly good: number
}

/** Most observations without a finding that it takes to resolve an alert: 15 minutes. */
export const GOOD_MAX = 180

/**
 * For what stops work: open after 50 s, resolved after 60 s. The service tries to reach a store again after 24 to 36 s, so a restart of an agent opens
 * nothing; and all stores of a zone that is cut off are found within these 50 s, because the agents send their states every 20 s.
 */
const QUICK: HoldDown = { bad: 10, of: 13, good: 12 }
/** For what does not stop work: open after two minutes, resolved after two minutes. */
const CALM: HoldDown = { bad: 24, of: 30, good: 24 }

export interface Condition {
  /** Stable; commands, log and documents use it. The check of an agent has the same name. */
  readonly name: string
  /** What a card says of the store or zone: `edge-a: free space`. */
  readonly title: string
  /** What it means, in one sentence. */
  readonly meaning: string
  readonly subject: 'store' | 'check' | 'zone'
  /** The severity of a check that failed, or of a finding that is not a check. */
  readonly severity: AlertSeverity
  /** The severity of a check that is a warning. */
  readonly warning: AlertSeverity
  readonly holdDown: HoldDown
}

export const STORE_STOPPED = 'store-stopped'
export const STORE_ERROR = 'store-error'
export const ZONE_DOWN = 'zone-down'
/** Checks that have no row of their own, such as those of a later version of the agent, are one finding. */
export const OTHER_CHECK = 'other-check'

export const CONDITIONS: readonly Condition[] = [
  {
    name: ZONE_DOWN,
    subject: 'zone',
    title: 'no healthy store',
    severity: 'critical',
    warning: 'critical',
    holdDown: QUICK,
    meaning: 'No store of a zone with two or more stores is Running or Degraded.',
  },
  {
    name: STORE_STOPPED,
    subject: 'store',
    title: 'Stopped',
    severity: 'critical',
    warning: 'critical',
    holdDown: QUICK,
    meaning: 'The agent of the store does not answer.',
  },
  {
    name: STORE_ERROR,
    subject: 'store',
    title: 'Error',
    severity: 'critical',
    warning: 'critical',
    holdDown: QUICK,
    meaning: 'The agent refuses the bot, is that of another store, or cannot describe its store.',
  },
  {
    name: 'mount-path',
    subject: 'check',
    title: 'mount path',
    severity: 'critical',
    warning: 'warning',
    holdDown: QUICK,
    meaning: 'The mount path hangs, is gone, or holds another store.',
  },
  {
    name: 'mount-writable',
    subject: 'check',
    title: 'not writable',
    severity: 'critical',
    warning: 'warning',
    holdDown: QUICK,
    meaning: 'Nothing can be written to the mount path.',
  },
  {
    name: 'index-database',
    subject: 'check',
    title: 'index database',
    severity: 'critical',
    warning: 'info',
    holdDown: QUICK,
    meaning: 'The index database does not answer; as a warning, it is being rebuilt.',
  },
  {
    name: 'free-space',
    subject: 'check',
    title: 'free space',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'Free space is below the reserve; as a warning, it soon will be.',
  },
  {
    name: 'last-scrub',
    subject: 'check',
    title: 'scrub',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'The last scrub found damage; as a warning, it is too old.',
  },
  {
    name: 'images',
    subject: 'check',
    title: 'damaged images',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'Images cannot be read in full.',
  },
  {
    name: 'quarantine',
    subject: 'check',
    title: 'quarantine',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'Damaged slices are in quarantine.',
  },
  {
    name: 'process',
    subject: 'check',
    title: 'slow agent',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'The event loop of the agent is blocked; as a warning, it is late.',
  },
  {
    name: 'certificate',
    subject: 'check',
    title: 'certificate',
    severity: 'critical',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'The certificate has expired; as a warning, it soon will, or HTTP is not encrypted.',
  },
  {
    name: 'clock',
    subject: 'check',
    title: 'clock',
    severity: 'warning',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'The clock of the node is wrong or jumps.',
  },
  {
    name: 'schedules',
    subject: 'check',
    title: 'schedules',
    severity: 'warning',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'A schedule is overdue; as a warning, its last run failed.',
  },
  {
    name: 'origins',
    subject: 'check',
    title: 'origins',
    severity: 'warning',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'No origin of the store answers it.',
  },
  {
    name: 'sync-partners',
    subject: 'check',
    title: 'sync partners',
    severity: 'warning',
    warning: 'warning',
    holdDown: CALM,
    meaning: 'No store that could repair this one answers it.',
  },
  { name: 'tasks', subject: 'check', title: 'backlog', severity: 'warning', warning: 'info', holdDown: CALM, meaning: 'Many tasks wait.' },
  {
    name: OTHER_CHECK,
    subject: 'check',
    title: 'other check',
    severity: 'warning',
    warning: 'info',
    holdDown: CALM,
    meaning: 'A check that this version of the bot does not know is not ok.',
  },
]

const BY_NAME = new Map(CONDITIONS.map((one) => [one.name, one]))

/** Returns the condition with this name. Throws for a name that is not in the table. */
export function conditionOf(name: string): Condition {
  const found = BY_NAME.get(name)
  if (!found) throw new Error(`there is no condition ${name}`)
  return found
}

/** Whether a check of an agent has a row of its own. */
export function isKnownCheck(name: string): boolean {
  return BY_NAME.get(name)?.subject === 'check'
}

/** Whether a severity is at least another one. */
export function isAtLeast(severity: AlertSeverity, least: AlertSeverity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least)
}
