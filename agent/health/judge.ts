// What measured facts mean: pure functions from facts to findings, in words that somebody woken at night understands.

import { formatTime } from '../../protocol/time.ts'
import { formatDuration, formatSize } from '../../protocol/units.ts'
import type { Finding } from '../contract/health.ts'
import type { SpaceState } from '../contract/space.ts'

const DAY_MS = 86_400_000
const LOOP_DELAY_WARNING_MS = 250
const LOOP_DELAY_FAILED_MS = 5000
/** A disk with less than this is full, also where nothing is reserved: not one slice may fit. */
const FULL_BYTES = 1024 * 1024
/** Space that will last less than this is a warning. */
const FULL_WARNING_MS = 7 * DAY_MS
/** A scrub is overdue after two weekly ones were missed. */
const SCRUB_AGE_MAX_MS = 15 * DAY_MS
/** How late a schedule may be before it counts. */
const OVERDUE_MS = 5 * 60_000
const BACKLOG_WARNING = 100
const CLOCK_STEP_MAX_MS = 5000
/** Before this the clock was never set: the agent did not exist. */
const CLOCK_EARLIEST_MS = Date.UTC(2026, 0, 1)
const CERTIFICATE_WARNING_MS = 14 * DAY_MS

const FREE_SPACE_ACTION = 'Delete images for good (image purge), then run store cleanup, or add space.'

function ok(measured: string, limit: string | null = null): Finding {
  return { state: 'ok', measured, limit, impact: '', action: '' }
}

export function judgeEventLoop(facts: { readonly delayMsMax: number; readonly residentBytes: number }): Finding {
  const { delayMsMax, residentBytes } = facts
  const measured = `longest delay ${Math.round(delayMsMax)} ms, ${formatSize(residentBytes)} resident`
  const limit = `${LOOP_DELAY_WARNING_MS} ms`
  if (delayMsMax < LOOP_DELAY_WARNING_MS) return ok(measured, limit)
  return {
    state: delayMsMax < LOOP_DELAY_FAILED_MS ? 'warning' : 'failed',
    measured,
    limit,
    impact: 'All answers of the agent are late; clients may give up and try again.',
    action: 'Check the load and the memory of the machine (top, vmstat); if it stays, restart the agent: nothing acknowledged is lost.',
  }
}

export type MountFacts =
  | {
      readonly kind: 'reachable'
      /** Whose `store.json` is there. */
      readonly store: 'own' | 'other' | 'none'
      readonly answeredMs: number
    }
  | { readonly kind: 'unreachable'; readonly code: string }

/** The mount path: there, with the store that was opened at the start. */
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
        facts.store === 'other'
          ? `another store is mounted at ${mount} than at the start`
          : `${mount} has no store.json: the file system of the store is not mounted`,
      limit,
      impact: 'Images cannot be read, and nothing is written, so that nothing goes to the wrong disk.',
      action: `Mount the right file system at ${mount}: the agent then goes on by itself.`,
    }
  return ok(`answered in ${Math.round(facts.answeredMs)} ms`, limit)
}

/** Whether a small file could be made in the mount path and removed again; `code` is the system's error, null when it could. */
export function judgeWritable(mount: string, code: string | null): Finding {
  if (code === null) return ok('writable')
  return {
    state: 'failed',
    measured: `${mount} cannot be written to (${code})`,
    limit: 'writable',
    impact:
      code === 'ENOSPC'
        ? 'Nothing new can be stored; images can be read and deleted.'
        : 'Images can be read, but nothing new can be stored and nothing deleted.',
    action: code === 'ENOSPC' ? FREE_SPACE_ACTION : `Check whether ${mount} is mounted read-only and who owns it (mount, ls -ld, dmesg).`,
  }
}

/** Images that are deleted, but not for good. */
export interface RecycleBin {
  readonly images: number
  /** What their slices take, in bytes; other images may need some of them. */
  readonly storedBytes: number
}

/** Free space against the reserve. `fullMs` is when the space above it will be used up, null where that is not foreseen. */
export function judgeSpace(space: SpaceState, fullMs: number | null, nowMs: number, bin: RecycleBin): Finding {
  const { freeBytes, totalBytes, reservedBytes, availableBytes } = space
  const forecast = fullMs === null ? '' : `, full about ${formatTime(fullMs).slice(0, 10)}`
  const measured = `${formatSize(freeBytes)} of ${formatSize(totalBytes)} free, ${formatSize(availableBytes)} above the reserve${forecast}`
  const limit = `${formatSize(reservedBytes)} reserved`
  const action = bin.images === 0 ? FREE_SPACE_ACTION : `${FREE_SPACE_ACTION} The recycle bin has ${bin.images} images of ${formatSize(bin.storedBytes)}.`
  if (freeBytes < reservedBytes || freeBytes < FULL_BYTES)
    return { state: 'failed', measured, limit, impact: 'Uploads, imports and syncs are refused; images can be read.', action }
  if (freeBytes - reservedBytes < reservedBytes) return { state: 'warning', measured, limit, impact: 'Large uploads are refused soon.', action }
  if (fullMs !== null && fullMs - nowMs < FULL_WARNING_MS)
    return { state: 'warning', measured, limit, impact: `At the rate of the last days the store is full in ${formatDuration(fullMs - nowMs)}.`, action }
  return ok(measured, limit)
}

/** The file system does not tell its space. */
export function judgeSpaceUnknown(mount: string, code: string): Finding {
  return {
    state: 'failed',
    measured: `the file system of ${mount} does not tell its space (${code})`,
    limit: null,
    impact: 'It is not known how much can still be stored; uploads, imports and syncs are refused.',
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
      impact: 'Nothing is lost. Reads may have to look for slices in the packs, which takes longer, and cleanup waits.',
      action: 'Nothing: it ends by itself. When it comes again, check the disk of the state folder.',
    }
  }
  return {
    state: 'failed',
    measured: facts.reason,
    limit: null,
    impact: 'Images cannot be read or stored; their slices are safe in the packs.',
    action: 'Stop the agent and run "slipway-agent recover": it builds the index database again from the packs.',
  }
}

export interface ScrubFacts {
  /** Null before the first one. */
  readonly endedMs: number | null
  readonly corrupt: number
  readonly missing: number
  /** Things wrong with packs and index database that are not slices. */
  readonly faults: number
  readonly damagedRoots: readonly string[]
  /** When this agent began to keep the store. */
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
      impact: `These cannot be read in full: ${damagedRoots.slice(0, 5).join(', ') || 'no image that is known'}${damagedRoots.length > 5 ? ` and ${damagedRoots.length - 5} more` : ''}.`,
      action: 'Sync these images again from a store that has them, then run scrub. Check the disk (smartctl, dmesg).',
    }
  if (damagedRoots.length > 0)
    return {
      state: 'failed',
      measured: `${faults} faults found ${when}`,
      limit,
      impact: `These cannot be read in full: ${damagedRoots.slice(0, 5).join(', ')}${damagedRoots.length > 5 ? ` and ${damagedRoots.length - 5} more` : ''}.`,
      action: 'Look at the result of the scrub task, sync these images again from a store that has them, then run scrub.',
    }
  if (faults > 0)
    return {
      state: 'warning',
      measured: `${faults} faults of packs or index database found ${when}`,
      limit,
      impact: 'Every slice can be read, but the next fault at the same place may cost some.',
      action: 'Look at the result of the scrub task; check the disk (smartctl, dmesg), then run "slipway-agent recover" with the agent stopped.',
    }
  if (nowMs - (endedMs ?? facts.sinceMs) > SCRUB_AGE_MAX_MS)
    return {
      state: 'warning',
      measured: `last scrub ${when}`,
      limit,
      impact: 'Silent damage of the disk would not be noticed.',
      action: 'Run the schedule scrub now, and see why it did not run.',
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
      impact: 'Space is not freed and damage is not looked for.',
      action: 'Run the schedule by hand; when that does not start it, restart the agent.',
    }
  if (failed.length > 0)
    return {
      state: 'warning',
      measured: failed.map((schedule) => `${schedule.name}: ${schedule.lastFailure}`).join('; '),
      limit,
      impact: 'What the schedule should have done is not done.',
      action: `Look at the task of ${failed.map((schedule) => schedule.name).join(' and ')}, mend what it names, and run the schedule again.`,
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
    action: 'List the tasks; cancel what is not needed, and see whether the first ones move.',
  }
}

export interface ClockFacts {
  /** Latest time this agent is known to have seen, also before a restart. */
  readonly latestMs: number
  /** How much the wall clock moved against the monotonic one since the check before; 0 where it runs well. */
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
    return { state: 'failed', measured: `${measured}, ${formatDuration(backMs)} behind a time seen before`, limit, impact, action }
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

/** Without TLS there is no certificate to judge. */
export function judgeCertificate(endMs: number | null, nowMs: number, plainHosts: readonly string[]): Finding {
  if (endMs === null && plainHosts.length > 0)
    return {
      state: 'warning',
      measured: `plain HTTP on ${plainHosts.join(', ')}`,
      limit: 'plain HTTP on loopback only',
      impact: 'Whoever is on the way can read tokens and images.',
      action: 'Set tls.cert and tls.key, or network.plain-http = true when the network is trusted or TLS ends at a proxy.',
    }
  if (endMs === null) return ok('TLS is off')
  const limit = `${formatDuration(CERTIFICATE_WARNING_MS)} left`
  const leftMs = endMs - nowMs
  if (leftMs >= CERTIFICATE_WARNING_MS) return ok(`ends ${formatTime(endMs)}`, limit)
  const action = 'Replace the files of tls.cert and tls.key, then reload the agent (SIGHUP).'
  if (leftMs <= 0) return { state: 'failed', measured: `ended ${formatTime(endMs)}`, limit, impact: 'Clients refuse to connect.', action }
  return { state: 'warning', measured: `ends in ${formatDuration(leftMs)}`, limit, impact: 'Clients refuse to connect from then on.', action }
}
