// Judges measured facts: pure functions from facts to findings. Impact and action are written for an operator on call.

import type { OriginState } from '../../protocol/store.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatDuration, formatSize } from '../../protocol/units.ts'
import type { Finding } from '../contract/health.ts'
import type { SpaceState } from '../contract/space.ts'
import { LATE_MS } from './event-loop.ts'

const DAY_MS = 86_400_000
/** One late turn of the event loop is nothing to act on; a machine that is overloaded makes many. */
const LATE_TIMES_WARNING = 3
const LOOP_DELAY_FAILED_MS = 5000
/** A disk with less free space than this is full, even when nothing is reserved. More than the ballast that a full disk gives up (`agent/system/ballast.ts`). */
const FULL_BYTES = 12 * 1024 * 1024
/** Space that will be used up sooner than this is a warning. */
const FULL_WARNING_MS = 7 * DAY_MS
/** A scrub is overdue after two weekly runs were missed. */
const SCRUB_AGE_MAX_MS = 15 * DAY_MS
/** How late a schedule may be. */
const OVERDUE_MS = 5 * 60_000
const BACKLOG_WARNING = 100
const CLOCK_STEP_MAX_MS = 5000
/** A clock before this time was never set: the agent did not exist then. */
const CLOCK_EARLIEST_MS = Date.UTC(2026, 0, 1)
const CERTIFICATE_WARNING_MS = 14 * DAY_MS

const FREE_SPACE_ACTION = 'Delete images for good (image purge), then run store cleanup, or add space.'

function ok(measured: string, limit: string | null = null): Finding {
  return { state: 'ok', measured, limit, impact: '', action: '' }
}

export interface ProcessFacts {
  readonly delayMsMax: number
  readonly lateTimes: number
  readonly residentBytes: number
}

/** Judges the delays of the event loop in the last 10 to 20 seconds. */
export function judgeEventLoop({ delayMsMax, lateTimes, residentBytes }: ProcessFacts): Finding {
  const late = `late ${lateTimes} ${lateTimes === 1 ? 'time' : 'times'}`
  const measured = `longest delay ${Math.round(delayMsMax)} ms, ${late}, ${formatSize(residentBytes)} resident`
  const limit = `late by ${LATE_MS} ms fewer than ${LATE_TIMES_WARNING} times in 20 s`
  if (lateTimes < LATE_TIMES_WARNING && delayMsMax < LOOP_DELAY_FAILED_MS) return ok(measured, limit)
  return {
    state: delayMsMax < LOOP_DELAY_FAILED_MS ? 'warning' : 'failed',
    measured,
    limit,
    impact: 'All responses of the agent are late; clients may give up and retry.',
    action: 'Check load and memory of the machine (top, vmstat). If the delay persists, restart the agent: nothing acknowledged is lost.',
  }
}

export type MountFacts =
  | {
      readonly kind: 'reachable'
      /** Which store the `store.json` on the mount path belongs to. */
      readonly store: 'own' | 'other' | 'none'
      readonly answeredMs: number
    }
  | { readonly kind: 'unreachable'; readonly code: string }

/** Judges whether the mount path holds the store that was opened at the start. */
export function judgeMount(mount: string, facts: MountFacts): Finding {
  const limit = 'reachable within 2 s'
  if (facts.kind === 'unreachable')
    return {
      state: 'failed',
      measured: `${mount} is not reachable (${facts.code})`,
      limit,
      impact: 'No image can be read or written.',
      action: `Mount ${mount} again, then reconnect the store.`,
    }
  if (facts.store !== 'own')
    return {
      state: 'failed',
      measured:
        facts.store === 'other' ? `${mount} holds another store than at the start` : `${mount} has no store.json: the file system of the store is not mounted`,
      limit,
      impact: 'Images cannot be read. Nothing is written, so that no data goes to the wrong disk.',
      action: `Mount the right file system at ${mount}. The agent then recovers by itself.`,
    }
  return ok(`answered in ${Math.round(facts.answeredMs)} ms`, limit)
}

/** Judges whether a small file could be created in the mount path and removed again; `code` is the error, null when it could. */
export function judgeWritable(mount: string, code: string | null): Finding {
  if (code === null) return ok('writable')
  return {
    state: 'failed',
    measured: `${mount} cannot be written to (${code})`,
    limit: 'writable',
    impact: code === 'ENOSPC' ? 'Nothing new can be stored; images can be read and deleted.' : 'Images can be read, but nothing can be stored or deleted.',
    action: code === 'ENOSPC' ? FREE_SPACE_ACTION : `Check whether ${mount} is mounted read-only, and who owns it (mount, ls -ld, dmesg).`,
  }
}

/** Images that are in the recycle bin. */
export interface RecycleBin {
  readonly images: number
  /** What their slices take, in bytes; other images may need some of them. */
  readonly storedBytes: number
}

/** Judges free space against the reserve. `fullMs` is when the space above it will be used up; null without a forecast. */
export function judgeSpace(space: SpaceState, fullMs: number | null, nowMs: number, bin: RecycleBin): Finding {
  const found = spaceFinding(space, fullMs, nowMs, bin)
  return fullMs === null ? found : { ...found, failsAt: formatTime(fullMs) }
}

function spaceFinding(space: SpaceState, fullMs: number | null, nowMs: number, bin: RecycleBin): Finding {
  const { freeBytes, totalBytes, reservedBytes, availableBytes } = space
  const forecast = fullMs === null ? '' : `, full about ${formatTime(fullMs).slice(0, 10)}`
  const measured = `${formatSize(freeBytes)} of ${formatSize(totalBytes)} free, ${formatSize(availableBytes)} above the reserve${forecast}`
  const limit = `${formatSize(reservedBytes)} reserved`
  const action = bin.images === 0 ? FREE_SPACE_ACTION : `${FREE_SPACE_ACTION} The recycle bin has ${bin.images} images of ${formatSize(bin.storedBytes)}.`
  if (freeBytes < reservedBytes || freeBytes < FULL_BYTES)
    return { state: 'failed', measured, limit, impact: 'Uploads, imports and syncs are refused; images can be read.', action }
  if (freeBytes - reservedBytes < reservedBytes) return { state: 'warning', measured, limit, impact: 'Large uploads will soon be refused.', action }
  if (fullMs !== null && fullMs - nowMs < FULL_WARNING_MS)
    return { state: 'warning', measured, limit, impact: `At the rate of the last days the store is full in ${formatDuration(fullMs - nowMs)}.`, action }
  return ok(measured, limit)
}

/** Judges a file system that does not report its space. */
export function judgeSpaceUnknown(mount: string, code: string): Finding {
  return {
    state: 'failed',
    measured: `the file system of ${mount} does not report its space (${code})`,
    limit: null,
    impact: 'The free space is unknown, so uploads, imports and syncs are refused.',
    action: 'See the check mount-path.',
  }
}

export type IndexFacts =
  | { readonly kind: 'open'; readonly slices: number; readonly rebuilding: { readonly done: number; readonly total: number } | null }
  | { readonly kind: 'broken'; readonly reason: string }

export function judgeIndex(facts: IndexFacts): Finding {
  if (facts.kind === 'open' && !facts.rebuilding) return ok(`open, ${facts.slices} slices`)
  if (facts.kind === 'open') {
    return {
      state: 'warning',
      measured: `was damaged and is being rebuilt from the packs, ${facts.rebuilding?.done ?? 0} of ${facts.rebuilding?.total ?? 0} read`,
      limit: null,
      impact: 'No data is lost. Reads may have to search the packs, which takes longer, and cleanup waits.',
      action: 'Wait: the rebuild ends by itself. If it happens again, check the disk of the state folder.',
    }
  }
  return {
    state: 'failed',
    measured: facts.reason,
    limit: null,
    impact: 'Images cannot be read or stored; their slices are safe in the packs.',
    action: 'Stop the agent and run "slipway-agent recover", which rebuilds the index database from the packs.',
  }
}

export interface ScrubFacts {
  /** Null before the first scrub. */
  readonly endedMs: number | null
  readonly corrupt: number
  readonly missing: number
  /** Faults of packs and of the index database. */
  readonly faults: number
  readonly damagedRoots: readonly string[]
  /** When this agent first served the store. */
  readonly sinceMs: number
}

export function judgeScrub(facts: ScrubFacts, nowMs: number): Finding {
  const { endedMs, corrupt, missing, faults, damagedRoots } = facts
  const limit = `no findings, not older than ${formatDuration(SCRUB_AGE_MAX_MS)}`
  const when = endedMs === null ? 'never' : `${formatDuration(nowMs - endedMs)} ago`
  if (corrupt + missing > 0)
    return {
      state: 'failed',
      measured: `${corrupt} corrupt and ${missing} missing slices found ${when}`,
      limit,
      impact: `These cannot be read in full: ${damagedRoots.slice(0, 5).join(', ') || 'no known image'}${damagedRoots.length > 5 ? ` and ${damagedRoots.length - 5} more` : ''}.`,
      action: 'Sync these images again from a store that has them, then run scrub. Check the disk (smartctl, dmesg).',
    }
  if (damagedRoots.length > 0)
    return {
      state: 'failed',
      measured: `${faults} faults found ${when}`,
      limit,
      impact: `These cannot be read in full: ${damagedRoots.slice(0, 5).join(', ')}${damagedRoots.length > 5 ? ` and ${damagedRoots.length - 5} more` : ''}.`,
      action: 'Read the result of the scrub task, sync these images again from a store that has them, then run scrub.',
    }
  if (faults > 0)
    return {
      state: 'warning',
      measured: `${faults} faults of packs or index database found ${when}`,
      limit,
      impact: 'Every slice can be read, but another fault at the same place may lose some.',
      action: 'Read the result of the scrub task and check the disk (smartctl, dmesg). Then stop the agent and run "slipway-agent recover".',
    }
  if (nowMs - (endedMs ?? facts.sinceMs) > SCRUB_AGE_MAX_MS)
    return {
      state: 'warning',
      measured: `last scrub ${when}`,
      limit,
      impact: 'Silent damage to the disk would not be detected.',
      action: 'Run the schedule scrub now, and find out why it did not run.',
    }
  return ok(`last scrub ${when}, nothing found`, limit)
}

export function judgeImages(damaged: number): Finding {
  if (damaged === 0) return ok('no damaged image', 'no damaged image')
  return {
    state: 'failed',
    measured: `${damaged} damaged ${damaged === 1 ? 'image' : 'images'}`,
    limit: 'no damaged image',
    impact: 'Damaged images cannot be read in full. While a manifest is damaged, cleanup removes nothing.',
    action: 'List the images with status error and degraded, and do what the reason of each says: sync it again, restore it from a backup, or delete it.',
  }
}

export function judgeQuarantine(slices: number): Finding {
  if (slices === 0) return ok('empty', 'empty')
  return {
    state: 'failed',
    measured: `${slices} slices in quarantine`,
    limit: 'empty',
    impact: 'Images that need these slices are degraded and cannot be read in full.',
    action: 'List degraded images and sync them again from a store that has them. Check the disk (smartctl, dmesg).',
  }
}

export interface ScheduleFacts {
  readonly name: string
  readonly paused: boolean
  readonly running: boolean
  readonly nextRunMs: number | null
  readonly lastFailure: string | null
}

export function judgeSchedules(schedules: readonly ScheduleFacts[], nowMs: number): Finding {
  const limit = `run within ${formatDuration(OVERDUE_MS)} of their time`
  const overdue = schedules.filter(
    (schedule) => !schedule.paused && !schedule.running && schedule.nextRunMs !== null && nowMs - schedule.nextRunMs > OVERDUE_MS,
  )
  const failed = schedules.filter((schedule) => schedule.lastFailure !== null)
  const paused = schedules.filter((schedule) => schedule.paused)
  if (overdue.length > 0)
    return {
      state: 'failed',
      measured: `overdue: ${overdue.map((schedule) => schedule.name).join(', ')}`,
      limit,
      impact: 'Space is not freed, and damage is not detected.',
      action: 'Run the schedule by hand. If it does not start, restart the agent.',
    }
  if (failed.length > 0)
    return {
      state: 'warning',
      measured: failed.map((schedule) => `${schedule.name}: ${schedule.lastFailure}`).join('; '),
      limit,
      impact: 'The work of the schedule was not done.',
      action: `Read the error of the last ${failed.map((schedule) => schedule.name).join(' and ')} task, fix its cause, and run the schedule again.`,
    }
  return ok(paused.length > 0 ? `on time; paused: ${paused.map((schedule) => schedule.name).join(', ')}` : 'on time', limit)
}

export function judgeBacklog(counts: { readonly queued: number; readonly running: number }): Finding {
  const measured = `${counts.running} running, ${counts.queued} waiting`
  const limit = `${BACKLOG_WARNING} waiting`
  if (counts.queued < BACKLOG_WARNING) return ok(measured, limit)
  return {
    state: 'warning',
    measured,
    limit,
    impact: 'New syncs and imports start late.',
    action: 'List the tasks, cancel those that are not needed, and check that the running ones make progress.',
  }
}

export interface ClockFacts {
  /** Latest time that this agent has seen, restarts included. */
  readonly latestMs: number
  /** How much the wall clock moved against the monotonic clock since the previous check; 0 when it runs well. */
  readonly stepMs: number
}

export function judgeClock(facts: ClockFacts, nowMs: number): Finding {
  const measured = formatTime(nowMs)
  const limit = `steps under ${formatDuration(CLOCK_STEP_MAX_MS)}`
  const action = 'Check time synchronisation (timedatectl, chronyc tracking).'
  const impact = 'Retention, schedules, links and the times of events are wrong.'
  if (nowMs < CLOCK_EARLIEST_MS) return { state: 'failed', measured: `the clock says ${measured}`, limit, impact, action }
  const backMs = facts.latestMs - nowMs
  if (backMs > CLOCK_STEP_MAX_MS)
    return { state: 'failed', measured: `${measured}, ${formatDuration(backMs)} behind an earlier reading`, limit, impact, action }
  if (Math.abs(facts.stepMs) > CLOCK_STEP_MAX_MS)
    return {
      state: 'warning',
      measured: `${measured}, just set ${facts.stepMs > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(facts.stepMs))}`,
      limit,
      impact,
      action,
    }
  return ok(measured, limit)
}

/** Judges the certificate in use; without TLS, whether plain HTTP reaches beyond this machine. */
export function judgeCertificate(endMs: number | null, nowMs: number, plainHosts: readonly string[]): Finding {
  if (endMs === null && plainHosts.length > 0)
    return {
      state: 'warning',
      measured: `plain HTTP on ${plainHosts.join(', ')}`,
      limit: 'plain HTTP on loopback only',
      impact: 'Anyone on the network path can read tokens and images.',
      action: 'Set tls.cert and tls.key, or network.plain-http = true when the network is trusted or TLS ends at a proxy.',
    }
  if (endMs === null) return ok('TLS is off')
  const limit = `${formatDuration(CERTIFICATE_WARNING_MS)} left`
  const leftMs = endMs - nowMs
  if (leftMs >= CERTIFICATE_WARNING_MS) return ok(`expires ${formatTime(endMs)}`, limit)
  const action = 'Replace the files of tls.cert and tls.key, then reload the agent (SIGHUP).'
  if (leftMs <= 0) return { state: 'failed', measured: `expired ${formatTime(endMs)}`, limit, impact: 'Clients refuse to connect.', action }
  return { state: 'warning', measured: `expires in ${formatDuration(leftMs)}`, limit, impact: 'Clients will refuse to connect.', action }
}

/** Judges whether any store answers that this one synced with and may repair its slices from. */
export function judgePartners(partners: readonly { readonly name: string; readonly state: OriginState }[]): Finding {
  if (partners.length === 0) return ok('no grants of other stores for repairs')
  const answering = partners.filter(({ state }) => state === 'reachable').length
  const measured = `${answering} of ${partners.length} stores answer that this one synced with`
  const limit = 'at least 1'
  // A partner is asked right after the start.
  if (answering > 0 || partners.some(({ state }) => state === 'unknown')) return ok(measured, limit)
  return {
    state: 'warning',
    measured: `${measured}: ${partners.map(({ name, state }) => `${name} is ${state}`).join(', ')}`,
    limit,
    impact: 'Damaged slices are not repaired from these stores. What is intact in this store is served.',
    action: 'Check the network to these stores, and that their agents run. Repairs continue by themselves when one answers.',
  }
}

/** Judges whether any origin answers. */
export function judgeOrigins(origins: readonly { readonly name: string; readonly state: OriginState }[]): Finding {
  const answering = origins.filter(({ state }) => state === 'reachable').length
  const measured = `${answering} of ${origins.length} origins answer`
  const limit = 'at least 1'
  // An origin is asked right after the start.
  if (answering > 0 || origins.some(({ state }) => state === 'unknown')) return ok(measured, limit)
  const named = origins.map(({ name, state }) => `${name} is ${state}`).join(', ')
  return {
    state: 'warning',
    measured: `${measured}: ${named}`,
    limit,
    impact: 'Damaged slices are not repaired, and images that only an origin has cannot be read. What is intact in this store is served.',
    action: origins.every(({ state }) => state === 'refused')
      ? 'Check the addresses and tokens of [[origins]] in the configuration, then restart the agent.'
      : 'Check the network to the origins, and that their agents run. Repairs continue by themselves when one answers.',
  }
}
