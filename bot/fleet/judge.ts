// Judges what was seen of a store: Running, Degraded, Stopped or Error, with impact and next step.

import type { Check, HealthState } from '../../protocol/health.ts'
import { problemCode } from '../../protocol/problems.ts'
import type { Store } from '../../protocol/store.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatDuration } from '../../protocol/units.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import { spaceAdvice } from './advice.ts'
import { maintenanceJson } from './maintenance.ts'
import type { Silence } from './fleet.ts'
import type { StoreRecord } from './registry.ts'
import type { Sighting, StoreFacts } from './states.ts'

/** The check of an agent whose next step is better said in commands of this bot. */
const SPACE_CHECK = 'free-space'
/** The check that fails when the mount path cannot be reached. */
export const MOUNT_CHECK = 'mount-path'

export interface Observation {
  readonly record: StoreRecord
  readonly state: HealthState
  /** The first contact that failed, in milliseconds since 1970; null for a store that answers. */
  readonly sinceMs: number | null
  readonly lastSeenMs: number | null
  /** What is wrong, in one sentence; empty when nothing is. */
  readonly finding: string
  /** What it means for users, and the next step; both empty when nothing is wrong. */
  readonly impact: string
  readonly action: string
  readonly checks: readonly Check[]
  /** The description of the store; null when the agent did not give one. */
  readonly store: Store | null
  /** Running and waiting tasks; null when they are not known. */
  readonly tasks: StoreFacts['tasks']
  readonly asOfMs: number
}

/** Judges what was seen of a store. Pure. */
export function judge(contact: Sighting): Observation {
  const record = contact.store
  const base = { record, sinceMs: null, lastSeenMs: contact.asOfMs, checks: [], store: null, tasks: null, asOfMs: contact.asOfMs }
  switch (contact.kind) {
    case 'stopped':
      return { ...base, state: 'stopped', sinceMs: contact.sinceMs, lastSeenMs: contact.lastSeenMs, ...silenceWords(contact) }
    case 'refused': {
      const code = problemCode(contact.problem)
      const isToken = code === 'unauthenticated' || code === 'forbidden'
      return {
        ...base,
        state: 'error',
        finding: contact.problem.detail,
        impact: isToken ? 'The bot can neither read nor change this store; its other clients are not affected.' : 'The state of the store is unknown.',
        action: contact.problem.action,
      }
    }
    case 'answered': {
      const { health, store, tasks } = contact.value
      if (store && record.storeId !== null && store.id !== record.storeId) {
        return {
          ...base,
          state: 'error',
          finding: `Another store answers at ${record.url}: ${store.name} (${store.id}) instead of ${record.storeId}.`,
          impact: 'Commands would reach another store than the registered one.',
          action: `Correct the address with store edit ${record.name} url=…, or remove the store with store delete ${record.name} and add it again.`,
        }
      }
      const worst = health.checks.filter((check) => check.state === 'failed' || check.state === 'warning')
      // While the mount path fails, the space is unknown and not short.
      const isMeasured = !worst.some((check) => check.name === MOUNT_CHECK && check.state === 'failed')
      worst.sort((a, b) => Number(a.state === 'warning') - Number(b.state === 'warning'))
      return {
        ...base,
        // A mount path that failed a moment ago may not be in the health yet.
        state: store ? health.state : 'error',
        finding: worst.map((check) => `${check.name}: ${check.measured}`).join('; ') || (store ? '' : 'The agent cannot describe its store.'),
        impact: sentences(worst.map((check) => check.impact)),
        action: sentences(worst.map((check) => (check.name === SPACE_CHECK && isMeasured ? spaceAdvice(record) : check.action))),
        checks: health.checks,
        store,
        tasks,
      }
    }
  }
}

/** Finding, impact and next step of a store that does not answer. */
export function silenceWords(silence: Pick<Silence, 'store' | 'reason'>): Pick<Observation, 'finding' | 'impact' | 'action'> {
  const { name, url } = silence.store
  return {
    finding: silence.reason,
    impact: 'Uploads, downloads and syncs with this store fail until it answers again. Images it acknowledged stay on its mount path.',
    action: `On its node, check systemctl status slipway-agent@${name} and journalctl -u slipway-agent@${name}; if it does not run, sudo systemctl restart slipway-agent@${name}. Check that the bot can reach ${url}. Then run store reconnect ${name}.`,
  }
}

/** `edge-b has been Stopped since …: what that means for this answer.` */
export function silenceNote(silence: Silence, consequence: string): string {
  return `${silence.store.name} has been Stopped since ${formatAt(silence.sinceMs)} (${formatDuration(silence.asOfMs - silence.sinceMs)}): ${consequence}`
}

/** An observation for `--json`. */
export function observationJson(seen: Observation, nowMs: number): Record<string, unknown> {
  return {
    name: seen.record.name,
    url: seen.record.url,
    zone: seen.record.zone,
    provider: seen.record.provider,
    id: seen.store?.id ?? seen.record.storeId,
    state: seen.state,
    maintenance: maintenanceJson(seen.record, nowMs),
    since: seen.sinceMs === null ? null : formatTime(seen.sinceMs),
    lastSeen: seen.lastSeenMs === null ? null : formatTime(seen.lastSeenMs),
    finding: seen.finding,
    impact: seen.impact,
    action: seen.action,
    asOf: formatTime(seen.asOfMs),
  }
}

function sentences(texts: readonly string[]): string {
  return [...new Set(texts.filter((text) => text !== ''))].join(' ')
}
