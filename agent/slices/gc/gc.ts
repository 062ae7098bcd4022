// gc: marks the slices that roots name, removes all others from the index, deletes packs without live slices, and rewrites packs that are
// less than half live. Runs in parallel with uploads, reads and syncs (docs/internals/concurrency.md), in steps that let other
// work run. Stopping it at any point loses nothing.

import { errorText } from '../../../protocol/errors.ts'
import { StoreWriteFailed } from '../../contract/slices.ts'
import type { GcReport, OnProgress } from '../../contract/slices.ts'
import { cleanPack } from './clean.ts'
import type { CleanDeps } from './clean.ts'
import { count, findLost, mark, passRange, sweep } from './mark.ts'
import type { MarkDeps } from './mark.ts'
import { planPacks } from './plan.ts'
import type { PackLength, PackPlan, PackUse } from './plan.ts'
import { isIndexDamaged } from '../index/index-unusable.ts'
import type { LiveSet } from '../write/live-set.ts'
import { PACK_HEADER_BYTES, recordLength } from '../packs/pack-format.ts'
import type { Pins, PinWatch } from '../write/pins.ts'

/** Slices marked in one pass; a larger store takes several passes, so that memory stays bounded. */
const MARKED_MAX = 4 * 1024 * 1024
/** A pack is small when it is shorter than this part of a full one. */
const SMALL_PACK_PART = 8

export interface GcDeps extends MarkDeps, Omit<CleanDeps, 'isNamed'> {
  /** The `packs` folder. */
  readonly folder: string
  readonly pins: Pins
  /** Length at which packs are sealed. */
  readonly sealBytes: number
  /** Reads the packs again that could not be read when the store was opened. */
  readonly retryLeftOut: () => Promise<void>
  /** Rebuilds the index when it is damaged; resolves when it is intact. */
  readonly rebuildIndex: () => Promise<void>
  /** Frees the space that is reserved for cleaning a full disk. */
  readonly makeRoom?: (() => Promise<void>) | undefined
}

export interface GcOptions {
  readonly dryRun: boolean
  /** Dry run only: names of roots to ignore, as if they had been removed. */
  readonly without?: ReadonlySet<string>
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** Runs one gc; see the contract for the report. */
export async function collectGarbage(deps: GcDeps, options: GcOptions): Promise<GcReport> {
  if (options.without && !options.dryRun) throw new RangeError('only a dry run may ignore roots')
  using watch = deps.pins.watch()
  const { index } = deps
  await deps.rebuildIndex()
  await deps.retryLeftOut()
  const sealedBytes = options.dryRun ? 0 : await deps.writer.sealAbandoned()
  let swept = await markAndSweep(deps, options, watch)
  if (index.isIncomplete) {
    // No pack may be removed by what a damaged index says: rebuild it and examine everything again.
    await deps.rebuildIndex()
    swept = await markAndSweep(deps, options, watch)
    if (index.isIncomplete) throw new Error('the index database was damaged again during gc')
  }
  const { uses, unread, marked, slicesLive, slicesDead, deadBytes } = swept
  deps.crashPoint('gc:swept')

  let plan = await planNow(deps, uses, unread)
  if (plan.isShortOfRoom && !options.dryRun && deps.makeRoom) {
    await deps.makeRoom()
    plan = await planNow(deps, uses, unread)
  }
  const isNamed = (digest: Uint8Array): boolean => watch.isTouched(digest) || marked?.has(digest) === true
  const done = options.dryRun ? predict(deps, plan, uses) : await executePlan({ ...deps, isNamed }, plan, uses, options.signal)
  return { dryRun: options.dryRun, slicesLive, slicesDead, deadBytes, ...done, freedBytes: done.freedBytes - sealedBytes }
}

interface Swept {
  readonly uses: ReadonlyMap<number, PackUse>
  /** Packs that must stay: slices were missing, and these packs could not be searched for them. */
  readonly unread: ReadonlySet<number>
  /** Slices that the last pass has marked: all marked ones, when the store is small enough for one pass. */
  readonly marked: LiveSet | undefined
  readonly slicesLive: number
  readonly slicesDead: number
  readonly deadBytes: number
}

/** Examines every slice in one pass or several. Stops when the index turns out to be damaged: `isIncomplete` is then true and the result partial. */
async function markAndSweep(deps: GcDeps, options: GcOptions, watch: PinWatch): Promise<Swept> {
  const { index } = deps
  const uses = new Map<number, PackUse>()
  const unread = new Set<number>()
  const total = index.sliceCount
  let slicesLive = 0
  let slicesDead = 0
  let deadBytes = 0
  let marked: LiveSet | undefined
  const passes = Math.max(1, Math.ceil(total / MARKED_MAX))
  for (let pass = 0; pass < passes && !index.isIncomplete; pass++) {
    const range = passRange(pass, passes)
    const named = await mark(deps, range, Math.ceil(total / passes), options)
    marked = named
    deps.crashPoint('gc:marked')
    let found = 0
    try {
      for await (const { live, dead } of sweep(deps, range, (digest) => named.has(digest) || watch.isTouched(digest), options)) {
        for (const row of live) if (named.has(row.digest)) found++
        slicesLive += live.length
        slicesDead += dead.length
        for (const row of dead) deadBytes += recordLength(row)
        count(uses, live, 'liveBytes')
        count(uses, dead, 'deadBytes')
        options.onProgress?.(slicesLive + slicesDead, total)
      }
    } catch (error) {
      if (!isIndexDamaged(error)) throw error
      index.distrust(errorText(error))
    }
    // A pack may contain a marked slice that the index has lost; it must be found before any pack is removed.
    if (found < named.size && !index.isIncomplete) await findLost(deps, named, unread, options.signal)
  }
  return { uses, unread, marked, slicesLive, slicesDead, deadBytes }
}

async function planNow(deps: GcDeps, uses: ReadonlyMap<number, PackUse>, unread: ReadonlySet<number>): Promise<PackPlan> {
  const { freeBytes } = await deps.disk.space(deps.folder)
  const packs = (await candidates(deps, uses)).filter(({ id }) => !unread.has(id))
  return planPacks(packs, uses, freeBytes, deps.sealBytes / SMALL_PACK_PART)
}

/** Returns the packs that gc may remove or rewrite, with the lengths of their files. The open pack is included only when most of it is dead. */
async function candidates(deps: GcDeps, uses: ReadonlyMap<number, PackUse>): Promise<PackLength[]> {
  const packs: PackLength[] = []
  const open = deps.writer.openPackId
  for (const { id, name, length, sealed } of [...deps.index.packs()]) {
    const use = uses.get(id)
    if (sealed) {
      packs.push({ id, name, length })
    } else if (id !== open) {
      const file = await deps.disk.stat(deps.files.path(name))
      if (file) packs.push({ id, name, length: file.length })
    } else if (use && use.deadBytes > use.liveBytes) {
      packs.push({ id, name, length: deps.writer.openPackBytes })
    }
  }
  return packs
}

type Outcome = Pick<GcReport, 'freedBytes' | 'packsRemoved' | 'packsRewritten'>

/** Returns what executing a plan would achieve, without counting the footers of packs that fill up meanwhile. */
function predict({ writer }: GcDeps, { remove, rewrite }: PackPlan, uses: ReadonlyMap<number, PackUse>): Outcome {
  const isTaken = [...remove, ...rewrite].some(({ id }) => id === writer.openPackId)
  const header = rewrite.length > 0 && (isTaken || writer.openPackId === undefined) ? PACK_HEADER_BYTES : 0
  const removed = remove.reduce((sum, pack) => sum + pack.length, 0 - header)
  const freedBytes = rewrite.reduce((sum, pack) => sum + pack.length - (uses.get(pack.id)?.liveBytes ?? 0), removed)
  return { freedBytes, packsRemoved: remove.length, packsRewritten: rewrite.length }
}

/** Executes a plan; counts the bytes freed, less those that rewriting added. */
async function executePlan(deps: GcDeps & CleanDeps, plan: PackPlan, uses: ReadonlyMap<number, PackUse>, signal: AbortSignal | undefined): Promise<Outcome> {
  const outcome = { freedBytes: 0, packsRemoved: 0, packsRewritten: 0 }
  // Removals first: they need no room.
  for (const pack of [...plan.remove, ...plan.rewrite]) {
    if (deps.index.isIncomplete) {
      deps.log.warn('gc stopped early: the index database is damaged and must be rebuilt first')
      break
    }
    try {
      if (pack.id === deps.writer.openPackId) await deps.writer.retire()
      const cleaned = await cleanPack(deps, pack, uses.get(pack.id)?.liveBytes ?? 0, signal)
      outcome.freedBytes -= cleaned.addedBytes
      if (cleaned.isRemoved) {
        outcome.freedBytes += pack.length
        outcome[cleaned.addedBytes === 0 ? 'packsRemoved' : 'packsRewritten']++
      }
    } catch (error) {
      signal?.throwIfAborted()
      // A pack that cannot be read or moved must not keep gc from cleaning the others.
      deps.log.warn('a pack could not be cleaned and stays', { pack: pack.name, error })
      if (error instanceof StoreWriteFailed) break
    }
  }
  return outcome
}
