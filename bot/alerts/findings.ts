// From what was seen of a store to its findings: for each condition whether it is bad, good, or not known. Pure.

import type { Check } from '../../protocol/health.ts'
import { spaceAdvice } from '../fleet/advice.ts'
import { MOUNT_CHECK } from '../fleet/judge.ts'
import type { Observation } from '../fleet/judge.ts'
import { plural } from '../../protocol/views/phrases.ts'
import { conditionOf, CONDITIONS, isKnownCheck, OTHER_CHECK, STORE_ERROR, STORE_STOPPED } from './conditions.ts'
import type { AlertSeverity } from './conditions.ts'

/** Longest text of a finding that is kept, in characters; an agent may send more. */
const TEXT_MAX = 1000
/** Unknown checks that a finding names. */
const NAMED_MAX = 5
/** Checks that say nothing of their own while the mount path fails. */
const ON_MOUNT: ReadonlySet<string> = new Set(['mount-writable', 'free-space'])
const SPACE_CHECK = 'free-space'

export interface Finding {
  readonly severity: AlertSeverity
  readonly finding: string
  readonly impact: string
  readonly action: string
}

/** By condition: a finding, or `good`. A condition that is missing is not known: nothing can be said of the checks of a silent store. */
export type Findings = ReadonlyMap<string, Finding | 'good'>

/** Returns the findings in what was seen of a store. */
export function findingsOf(seen: Observation): Findings {
  const found = new Map<string, Finding | 'good'>()
  const own = (condition: string): void => void found.set(condition, bounded({ ...seen, severity: conditionOf(condition).severity }))
  if (seen.state === 'stopped') {
    own(STORE_STOPPED)
    return found
  }
  found.set(STORE_STOPPED, 'good')
  const isFailing = seen.checks.some(({ state }) => state === 'failed' || state === 'warning')
  if (seen.state === 'error' && !isFailing) own(STORE_ERROR)
  else found.set(STORE_ERROR, 'good')
  if (seen.checks.length > 0) addChecks(found, seen)
  return found
}

function addChecks(found: Map<string, Finding | 'good'>, { checks, record }: Observation): void {
  const byName = new Map(checks.map((check) => [check.name, check]))
  const isMounted = byName.get(MOUNT_CHECK)?.state !== 'failed'
  for (const { name, subject } of CONDITIONS) {
    if (subject !== 'check' || name === OTHER_CHECK) continue
    const check = byName.get(name)
    const state = !isMounted && ON_MOUNT.has(name) ? 'unknown' : (check?.state ?? 'ok')
    if (state === 'unknown') continue
    if (!check || state === 'ok') found.set(name, 'good')
    else found.set(name, checkFinding(check, name === SPACE_CHECK ? spaceAdvice(record) : check.action))
  }
  const others = checks.filter(({ name, state }) => !isKnownCheck(name) && (state === 'failed' || state === 'warning'))
  found.set(OTHER_CHECK, others.length === 0 ? 'good' : otherFinding(others))
}

function checkFinding({ name, state, measured, impact }: Check, action: string): Finding {
  const { severity, warning } = conditionOf(name)
  return bounded({ severity: state === 'failed' ? severity : warning, finding: measured, impact, action })
}

function otherFinding(checks: readonly Check[]): Finding {
  const { severity, warning } = conditionOf(OTHER_CHECK)
  const named = checks.slice(0, NAMED_MAX)
  const rest = checks.length > NAMED_MAX ? `; ${plural(checks.length - NAMED_MAX, 'other check')}` : ''
  return bounded({
    severity: checks.some(({ state }) => state === 'failed') ? severity : warning,
    finding: `${named.map(({ name, measured }) => `${name}: ${measured}`).join('; ')}${rest}`,
    impact: named.map(({ impact }) => impact).join(' '),
    action: named.map(({ action }) => action).join(' '),
  })
}

function bounded({ severity, finding, impact, action }: Finding): Finding {
  return { severity, finding: finding.slice(0, TEXT_MAX), impact: impact.slice(0, TEXT_MAX), action: action.slice(0, TEXT_MAX) }
}
