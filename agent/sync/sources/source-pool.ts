// The sources of one task: how fast each one is, and which faults it has shown. The fastest source without a fault is preferred. A fault marks a
// source for the rest of the task: it is asked only for what no unmarked source has. A source that fails too often is excluded.

import { errorText } from '../../../protocol/errors.ts'
import type { SourceReport } from '../../../protocol/sync/sync.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import { ATTEMPTS_MAX, waitMs } from '../peer.ts'
import type { SliceSource } from './connect.ts'
import { faultOf, isInvalid, isTransient, peerProblem } from './faults.ts'

/** Weight of the last batch in the measured rate. */
const RATE_WEIGHT = 0.5
/** Time after which the rate of a source that is not used is measured again, in milliseconds. */
const RATE_MS_MAX = 120_000
/**
 * Most invalid answers of a source: so many, and one more for each part of so many bytes that it sent. A bad line may flip a bit now and then. Cuts
 * do not count: a line that is cut is as good as what it delivers between two cuts.
 */
const FAULTS_MAX = 16
const FAULT_BYTES = 4 * 1024 * 1024

/** A batch that a source is asked for. */
export interface SourceUse extends Disposable {
  readonly source: SliceSource
  /** Counts a slice that was verified and stored, by its bytes on the wire. */
  stored(bytes: number): void
  /** Reports the end of the batch: bytes on the wire, and the time spent waiting for the source in milliseconds. */
  measured(bytes: number, waitedMs: number): void
  /** Marks the source for a failure of a request; `about` says which one. Throws the error if it is not about a source. */
  failed(error: unknown, about?: string): void
}

export type SourceChoice =
  | { readonly kind: 'use'; readonly use: SourceUse }
  /** Every source that could serve the batch must be left alone for so long; the caller calls `end` afterwards. */
  | { readonly kind: 'wait'; readonly ms: number; readonly end: () => void }
  /** No source can serve the batch. `error` is the problem of the first one, undefined if all of them answered that they lack it. */
  | { readonly kind: 'none'; readonly error: unknown }

export interface SourcePool {
  /** Chooses the source for a batch of so many bytes. `lacking`: sources that do not have it. */
  choose(bytes: number, lacking: ReadonlySet<SliceSource>): SourceChoice
  /** Returns the best measured rate of the other unmarked sources in bytes per second; Infinity if one of them was not measured yet, 0 if there is none. */
  rateElsewhere(source: SliceSource, lacking: ReadonlySet<SliceSource>): number
  /** Adds a source. Of sources whose rates are not known, the one with the lowest place is asked first. */
  add(source: SliceSource, place: number): void
  report(): readonly SourceReport[]
}

interface SourceState {
  readonly source: SliceSource
  readonly place: number
  bytesPerSecond: number | undefined
  ratedMs: number
  inFlightBytes: number
  slicesMoved: number
  bytesMoved: number
  /** Consecutive failures without a stored slice. Requests that were in flight together fail together, and count once. */
  failures: number
  /** Number of requests that were opened, and that number at the last failure that counted. */
  opened: number
  openedAtFailure: number
  /** Answers that no agent gives. */
  invalid: number
  faults: number
  fault: SourceReport['fault']
  /** The last failure, as a problem of this store. */
  error: unknown
  isExcluded: boolean
  /** Not asked before this time, in milliseconds of the monotonic clock. */
  notBeforeMs: number
}

/** Creates the pool of a task. */
export function createSourcePool({ clock, log }: { readonly clock: Clock; readonly log: Log }): SourcePool {
  const states: SourceState[] = []

  const mark = (state: SourceState, order: number, error: unknown, about?: string): void => {
    const name = faultOf(error)
    if (name === undefined) throw error
    const { source } = state
    const shown = peerProblem(source.url, error, about)
    const detail = errorText(shown)
    if (order > state.openedAtFailure) {
      state.failures++
      state.openedAtFailure = state.opened
    }
    state.faults++
    if (isInvalid(name)) state.invalid++
    state.error = shown
    state.notBeforeMs = clock.monotonicMs() + waitMs(state.failures, error)
    // A busy source has asked for a pause; it has done nothing wrong.
    if (name !== 'busy') state.fault ??= { name, detail }
    if (!isTransient(error) || state.failures >= ATTEMPTS_MAX || state.invalid > FAULTS_MAX + state.bytesMoved / FAULT_BYTES) {
      state.isExcluded = true
      state.fault ??= { name, detail }
    }
    log.warn('a source of a sync failed', { source: source.url, fault: name, detail, excluded: state.isExcluded })
  }

  const isFresh = (state: SourceState): boolean => state.inFlightBytes > 0 || clock.monotonicMs() - state.ratedMs < RATE_MS_MAX
  const rateOf = (state: SourceState): number => (state.bytesPerSecond === undefined || !isFresh(state) ? Infinity : state.bytesPerSecond)

  const open = (state: SourceState, bytes: number): SourceUse => {
    if (!isFresh(state)) state.bytesPerSecond = undefined
    state.inFlightBytes += bytes
    const order = ++state.opened
    return {
      source: state.source,
      stored(wireBytes) {
        state.failures = 0
        state.slicesMoved++
        state.bytesMoved += wireBytes
      },
      measured(wireBytes, waitedMs) {
        const rate = (wireBytes * 1000) / Math.max(1, waitedMs)
        state.bytesPerSecond = state.bytesPerSecond === undefined ? rate : state.bytesPerSecond * (1 - RATE_WEIGHT) + rate * RATE_WEIGHT
        state.ratedMs = clock.monotonicMs()
      },
      failed: (error, about) => mark(state, order, error, about),
      [Symbol.dispose]() {
        state.inFlightBytes -= bytes
      },
    }
  }

  const candidates = (lacking: ReadonlySet<SliceSource>): SourceState[] => {
    const asked = states.filter((state) => !state.isExcluded && !lacking.has(state.source))
    const unmarked = asked.filter(({ fault }) => fault === null)
    return unmarked.length > 0 ? unmarked : asked
  }

  return {
    choose(bytes, lacking) {
      const all = candidates(lacking)
      const nowMs = clock.monotonicMs()
      const ready = all.filter(({ notBeforeMs }) => notBeforeMs <= nowMs)
      const secondsOf = (state: SourceState): number => (state.inFlightBytes + bytes) / rateOf(state)
      const [best] = ready.toSorted((a, b) => secondsOf(a) - secondsOf(b) || a.inFlightBytes - b.inFlightBytes)
      if (best) return { kind: 'use', use: open(best, bytes) }
      const [next] = all.toSorted((a, b) => a.notBeforeMs - b.notBeforeMs)
      if (next) return { kind: 'wait', ms: next.notBeforeMs - nowMs, end: () => void (next.notBeforeMs = 0) }
      return { kind: 'none', error: states.find(({ error }) => error !== undefined)?.error }
    },
    rateElsewhere(source, lacking) {
      const others = states.filter((state) => state.source !== source && !state.isExcluded && state.fault === null && !lacking.has(state.source))
      return others.reduce((most, state) => Math.max(most, rateOf(state)), 0)
    },
    add(source, place) {
      states.push({
        source,
        place,
        bytesPerSecond: undefined,
        ratedMs: 0,
        inFlightBytes: 0,
        slicesMoved: 0,
        bytesMoved: 0,
        failures: 0,
        opened: 0,
        openedAtFailure: 0,
        invalid: 0,
        faults: 0,
        fault: null,
        error: undefined,
        isExcluded: false,
        notBeforeMs: 0,
      })
      states.sort((a, b) => a.place - b.place)
    },
    report: () =>
      states.map(({ source, slicesMoved, bytesMoved, bytesPerSecond, faults, fault }) => ({
        url: source.url,
        storeId: source.storeId,
        slicesMoved,
        bytesMoved,
        bytesPerSecond: bytesPerSecond === undefined ? null : Math.round(bytesPerSecond),
        faults,
        fault,
      })),
  }
}

export interface Question<T> {
  readonly clock: Clock
  readonly pool: SourcePool
  /** What is requested, for error messages. */
  readonly about: string
  readonly signal: AbortSignal
  readonly ask: (source: SliceSource) => Promise<T>
}

/**
 * Asks one source after the other until one answers. Throws the problem of the first one if none does, or if all of them answer that they lack it.
 */
export async function askSources<T>({ clock, pool, about, signal, ask }: Question<T>): Promise<T> {
  const lacking = new Set<SliceSource>()
  let lacks: unknown
  for (;;) {
    const choice = pool.choose(0, lacking)
    if (choice.kind === 'none') throw lacks ?? choice.error
    if (choice.kind === 'wait') {
      await clock.sleep(choice.ms, signal)
      choice.end()
      continue
    }
    using use = choice.use
    try {
      return await ask(use.source)
    } catch (error) {
      signal.throwIfAborted()
      if (faultOf(error) !== 'lacks') use.failed(error, about)
      else {
        lacking.add(use.source)
        lacks ??= peerProblem(use.source.url, error, about)
      }
    }
  }
}
