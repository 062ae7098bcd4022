// The health checks of a store: each measures one thing and has judge.ts judge it.

import { z } from 'zod'
import { errorCode, errorText } from '../../protocol/errors.ts'
import type { OriginState } from '../../protocol/store.ts'
import type { HealthCheck } from '../contract/health.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceStats } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { KeptValues } from '../contract/store.ts'
import type { TaskBoard } from '../contract/work.ts'
import type { EventLoopWatch } from './event-loop.ts'
import { addSpaceSample, forecastFullMs } from './forecast.ts'
import type { SpaceSample } from './forecast.ts'
import {
  judgeBacklog,
  judgeCertificate,
  judgeClock,
  judgeEventLoop,
  judgeImages,
  judgeIndex,
  judgeMount,
  judgeOrigins,
  judgePartners,
  judgeQuarantine,
  judgeSchedules,
  judgeScrub,
  judgeSpace,
  judgeSpaceUnknown,
  judgeWritable,
} from './judge.ts'
import type { RecycleBin, ScheduleFacts, ScrubFacts } from './judge.ts'
import type { MountProbe } from './mount-probe.ts'

const SPACE_KEY = 'space-samples'
const CLOCK_KEY = 'clock-seen'
/** The latest time seen is saved this often, in milliseconds. */
const CLOCK_WRITE_MS = 600_000

export interface StoreChecksDeps {
  readonly clock: Clock
  readonly kept: KeptValues
  readonly mount: string
  readonly mountProbe: MountProbe
  readonly space: Pick<Space, 'state'>
  readonly recycleBin: () => RecycleBin
  readonly eventLoop: Pick<EventLoopWatch, 'delayMsMax' | 'lateTimes'>
  /** Resident memory of the process in bytes. */
  readonly residentBytes: () => number
  /** Queries the index database; throws when it fails. */
  readonly sliceStats: () => Pick<SliceStats, 'slices' | 'quarantined' | 'rebuilding'>
  /** Images outside the recycle bin that are damaged. */
  readonly damagedImages: () => number
  readonly lastScrub: () => Omit<ScrubFacts, 'sinceMs'>
  readonly schedules: () => readonly ScheduleFacts[]
  readonly tasks: Pick<TaskBoard, 'counts'>
  /** End of the certificate in use in milliseconds since 1970; null without TLS. */
  readonly certificateEndMs: () => number | null
  /** The origins of the store; empty when the configuration names none. */
  readonly origins: () => readonly { readonly name: string; readonly state: OriginState }[]
  /** The stores that this one synced with and may repair its slices from; empty when there are none. */
  readonly partners: () => readonly { readonly name: string; readonly state: OriginState }[]
  /** Addresses beyond loopback on which the agent speaks plain HTTP although the configuration does not allow it. */
  readonly plainHosts: readonly string[]
}

/** Creates all checks of a store. */
export function createStoreChecks(deps: StoreChecksDeps): HealthCheck[] {
  const { clock, eventLoop, mount, mountProbe, tasks } = deps
  const check = (name: string, measure: HealthCheck['measure'], isVital = false): HealthCheck => ({ name, isVital, measure })
  const sinceMs = keptSince(deps)
  return [
    check('process', () => judgeEventLoop({ delayMsMax: eventLoop.delayMsMax(), lateTimes: eventLoop.lateTimes(), residentBytes: deps.residentBytes() })),
    check('mount-path', async () => judgeMount(mount, await mountProbe.look()), true),
    check('mount-writable', async () => judgeWritable(mount, await mountProbe.tryWrite())),
    check('free-space', spaceCheck(deps)),
    check('index-database', () => judgeIndex(indexFacts(deps.sliceStats)), true),
    check('last-scrub', () => judgeScrub({ ...deps.lastScrub(), sinceMs }, clock.nowMs())),
    check('images', () => judgeImages(deps.damagedImages())),
    check('quarantine', () => judgeQuarantine(deps.sliceStats().quarantined)),
    check('schedules', () => judgeSchedules(deps.schedules(), clock.nowMs())),
    check('tasks', () => judgeBacklog(tasks.counts())),
    check('clock', clockCheck(deps)),
    ...(deps.origins().length > 0 ? [check('origins', () => judgeOrigins(deps.origins()))] : []),
    check('sync-partners', () => judgePartners(deps.partners())),
    check('certificate', () => judgeCertificate(deps.certificateEndMs(), clock.nowMs(), deps.plainHosts)),
  ]
}

/** Returns when this agent first served the store: a store that was never scrubbed is not overdue on its first day. */
function keptSince({ kept, clock }: StoreChecksDeps): number {
  const known = z.number().optional().parse(kept.read('kept-since'))
  if (known !== undefined) return known
  kept.write('kept-since', clock.nowMs())
  return clock.nowMs()
}

function indexFacts(sliceStats: StoreChecksDeps['sliceStats']): Parameters<typeof judgeIndex>[0] {
  try {
    const { slices, rebuilding } = sliceStats()
    return { kind: 'open', slices, rebuilding }
  } catch (error) {
    return { kind: 'broken', reason: `the index database fails: ${errorText(error)}` }
  }
}

function spaceCheck({ space, recycleBin, kept, clock, mount }: StoreChecksDeps): HealthCheck['measure'] {
  const sampleSchema = z.object({ atMs: z.number(), availableBytes: z.number() })
  let samples: readonly SpaceSample[] = z.array(sampleSchema).catch([]).parse(kept.read(SPACE_KEY))
  return async () => {
    const state = await space.state().catch((error: unknown) => errorCode(error) ?? 'unknown error')
    if (typeof state === 'string') return judgeSpaceUnknown(mount, state)
    const nowMs = clock.nowMs()
    const more = addSpaceSample(samples, { atMs: nowMs, availableBytes: state.availableBytes })
    if (more) {
      samples = more
      kept.write(SPACE_KEY, samples)
    }
    return judgeSpace(state, forecastFullMs(samples, nowMs), nowMs, recycleBin())
  }
}

function clockCheck({ kept, clock }: StoreChecksDeps): HealthCheck['measure'] {
  let latestMs = z.number().catch(0).parse(kept.read(CLOCK_KEY))
  let writtenMs = latestMs
  let before: { readonly wallMs: number; readonly monotonicMs: number } | undefined
  return () => {
    const wallMs = clock.nowMs()
    const monotonicMs = clock.monotonicMs()
    const stepMs = before ? wallMs - before.wallMs - (monotonicMs - before.monotonicMs) : 0
    before = { wallMs, monotonicMs }
    const finding = judgeClock({ latestMs, stepMs }, wallMs)
    // A time in the future is not saved. Otherwise a corrected clock would be reported as wrong from then on.
    if (finding.state === 'ok') latestMs = Math.max(latestMs, wallMs)
    if (latestMs - writtenMs >= CLOCK_WRITE_MS) {
      kept.write(CLOCK_KEY, latestMs)
      writtenMs = latestMs
    }
    return finding
  }
}
