// One pass of healing: finds the slices that damaged images lack, fetches them from origins and partners, puts them back, and marks the images that are whole
// again. Nothing that an origin says is believed: slices are verified by SHA-256, and a manifest by the digest that this store knows.

import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import type { DamagedImage, ImageContents, ImageRepair } from '../../contract/images.ts'
import { createLoopBudget } from '../../contract/loop-budget.ts'
import type { KnownOrigin, Origins } from '../../contract/origins.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import type { SliceIngester } from '../../contract/slices.ts'
import type { Space } from '../../contract/space.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { RateShare } from '../limits/rate-limiter.ts'
import { faultOf, peerProblem } from '../sources/faults.ts'
import { sliceWindows } from '../plan.ts'
import type { WantedSlice } from '../sources/fetch-batch.ts'
import { fetchSlices, HEAL_BATCH_SLICES } from './fetch-slices.ts'

/** How often an image whose slices are all stored is looked at again while readers still report damage, and the wait between, in milliseconds. */
const LOOKS_MAX = 10
const LOOK_WAIT_MS = 500
/** Digests and images that an event or a result names. */
const NAMED_MAX = 20

/** The slices of a store, with what is known about their damage. */
export interface DamagedSlices extends Pick<SliceIngester, 'receive' | 'missing'> {
  /** Damaged records whose slice has no intact copy. */
  quarantined(): readonly { readonly digest: string }[]
  /** Marks the quarantined slices that are stored again as repaired. */
  settleQuarantine(): Promise<void>
  /** Finds packs whose file is gone although the index still names them. */
  lostPacks(): Promise<{ readonly names: readonly string[] }>
}

export interface HealPassDeps {
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  /** UUID of this store. */
  readonly storeId: string
  readonly origins: Pick<Origins, 'usable' | 'answered' | 'failed'>
  readonly slices: DamagedSlices
  readonly images: ImageRepair & Pick<ImageContents, 'open'>
  readonly space: Pick<Space, 'isBelowReserve'>
  readonly crashPoint: CrashPoint
  /** Opens a share of the rate of the store. */
  readonly openShare: () => RateShare
  /** Copies an image in error again from an origin, if the origin has it with the same content. Returns false if it does not. */
  readonly copyAgain: (origin: KnownOrigin, image: DamagedImage['image'], signal: AbortSignal) => Promise<boolean>
}

export interface HealOptions {
  readonly signal: AbortSignal
  /** Called with the slices that were put back, and those known to be damaged so far. */
  readonly onProgress: (done: number, total: number) => void
}

/** `result` of a task of kind `heal`. */
export type HealResult = {
  slicesHealed: number
  /** Damaged slices that no origin sent. */
  slicesLeft: number
  imagesHealed: string[]
  imagesLeft: string[]
}

/** State of a pass. */
interface Pass extends HealOptions {
  readonly deps: HealPassDeps
  readonly share: RateShare
  /** Origins that still answer in this pass. */
  readonly usable: Set<KnownOrigin>
  /** Slices that each origin sent. */
  readonly sent: Map<KnownOrigin, string[]>
  readonly result: HealResult
  /** Failures of origins in this pass: what they lack may be there later. */
  failures: unknown[]
  known: number
}

/**
 * Runs one pass. Throws ProblemError `origin-unreachable` when something is left because an origin failed, `data-corrupt` when no origin has what is
 * left, and `insufficient-storage`. What was put back stays.
 */
export async function runHealPass(deps: HealPassDeps, options: HealOptions): Promise<HealResult> {
  const usable = new Set(await deps.origins.usable())
  const result: HealResult = { slicesHealed: 0, slicesLeft: 0, imagesHealed: [], imagesLeft: [] }
  // Repairs do not wait for the hours of syncs, but share their rate.
  using share = deps.openShare()
  const pass: Pass = { ...options, deps, share, usable, sent: new Map(), result, failures: [], known: 0 }
  // Reads that found damage have marked the images that need it.
  await deps.images.damageMarked()
  try {
    await healUnnamed(pass)
    for (const damaged of deps.images.damagedImages()) {
      options.signal.throwIfAborted()
      const isHealed = damaged.damage === 'manifest' ? await healManifest(pass, damaged) : await healImage(pass, damaged)
      ;(isHealed ? result.imagesHealed : result.imagesLeft).push(damaged.image.id)
    }
  } finally {
    await deps.slices.settleQuarantine()
    announce(pass)
  }
  if (result.slicesLeft > 0 || result.imagesLeft.length > 0) throw incomplete(pass)
  return { ...result, imagesHealed: result.imagesHealed.slice(0, NAMED_MAX) }
}

/** Heals quarantined slices, which may belong to unfinished uploads too. What is left is counted with the images. */
async function healUnnamed(pass: Pass): Promise<void> {
  const { slices } = pass.deps
  const digests = slices.quarantined().map(({ digest }) => Buffer.from(digest.slice('sha256:'.length), 'hex'))
  for (let at = 0; at < digests.length; at += HEAL_BATCH_SLICES) {
    const batch = digests.slice(at, at + HEAL_BATCH_SLICES).map((digest) => ({ digest }))
    await fetchBatch(pass, missingAmong(slices, batch))
  }
}

function missingAmong<Named extends WantedSlice>(slices: Pick<DamagedSlices, 'missing'>, named: readonly Named[]): Named[] {
  const missing = new Set(slices.missing(named.map(({ digest }) => digest)))
  return named.filter((_slice, i) => missing.has(i))
}

/** Heals the slices of one image. Returns whether it is whole now. */
async function healImage(pass: Pass, { image }: DamagedImage): Promise<boolean> {
  const { clock, images, slices, log } = pass.deps
  for (let look = 1; look <= LOOKS_MAX; look++) {
    const startedAtMs = clock.nowMs()
    const left = await healSlicesOf(pass, image.id).catch((error: unknown) => {
      pass.signal.throwIfAborted()
      if (!(error instanceof ProblemError) || error.code === 'insufficient-storage') throw error
      // The manifest turned out to be damaged, or the image was removed.
      log.warn('an image could not be searched for damaged slices', { image: image.id, error })
      return undefined
    })
    if (left !== 0) {
      pass.result.slicesLeft += left ?? 0
      return false
    }
    // A pack that is gone still has rows in the index: a scrub removes them.
    if ((await slices.lostPacks()).names.length > 0) return false
    if (await images.slicesIntact(image.id, startedAtMs)) return true
    // A reader that had failed earlier marked the image while it was searched.
    if (!images.damagedImages().some((other) => other.image.id === image.id)) return true
    await clock.sleep(LOOK_WAIT_MS, pass.signal)
  }
  return false
}

/** Fetches the slices that an image lacks. Returns how many are left. */
async function healSlicesOf(pass: Pass, id: string): Promise<number> {
  let left = 0
  using content = await pass.deps.images.open(id)
  for await (const batch of missingOf(pass, content.manifest)) left += await fetchBatch(pass, batch)
  return left
}

/** Yields the slices that the store lacks, in batches. */
async function* missingOf(pass: Pass, manifest: Manifest): AsyncGenerator<WantedSlice[]> {
  const { clock, slices } = pass.deps
  const budget = createLoopBudget(clock)
  let batch: WantedSlice[] = []
  for await (const block of manifest.blocks()) {
    for (const window of sliceWindows(block)) {
      for (const { digest, length } of missingAmong(slices, window)) batch.push({ digest: new Uint8Array(digest), length })
      await budget.spend()
      pass.signal.throwIfAborted()
      if (batch.length < HEAL_BATCH_SLICES) continue
      yield batch.slice(0, HEAL_BATCH_SLICES)
      batch = batch.slice(HEAL_BATCH_SLICES)
    }
  }
  if (batch.length > 0) yield batch
}

/** Fetches a batch from one origin after the other until nothing is missing. Returns how many slices are left. */
async function fetchBatch(pass: Pass, batch: readonly WantedSlice[]): Promise<number> {
  const { clock, slices, space, origins, crashPoint, log } = pass.deps
  let left = batch
  if (left.length === 0) return 0
  pass.known += left.length
  if (await space.isBelowReserve()) throw problem('insufficient-storage', 'Damaged slices cannot be put back: the free space is below the reserve.')
  const pace = (wireBytes: number): Promise<void> => pass.share.take(wireBytes, pass.signal)
  for (const origin of pass.usable) {
    try {
      await fetchSlices(origin, left, { clock, slices, signal: pass.signal, pace, stored: () => crashPoint('heal:slices-stored') })
      origins.answered(origin)
    } catch (error) {
      pass.signal.throwIfAborted()
      // Another failure, such as a full disk, ends the pass.
      if (faultOf(error) === undefined) throw error
      pass.failures.push(peerProblem(origin.url, error))
      pass.usable.delete(origin)
      origins.failed(origin, error)
      log.warn('an origin failed to repair slices', { origin: origin.name, error })
    }
    const absent = new Set(slices.missing(left.map(({ digest }) => digest)))
    const healed = left.filter((_slice, i) => !absent.has(i)).map(({ digest }) => formatDigest(digest))
    pass.sent.set(origin, [...(pass.sent.get(origin) ?? []), ...healed])
    pass.result.slicesHealed += healed.length
    left = left.filter((_slice, i) => absent.has(i))
    pass.onProgress(pass.result.slicesHealed, pass.known)
    if (left.length === 0) break
  }
  return left.length
}

/** Replaces a damaged manifest by that of an origin with the same digest. Returns whether the image is whole now. */
async function healManifest(pass: Pass, { image }: DamagedImage): Promise<boolean> {
  const { origins, copyAgain, emit, log } = pass.deps
  for (const origin of pass.usable) {
    try {
      const isCopied = await copyAgain(origin, image, pass.signal)
      origins.answered(origin)
      if (!isCopied) continue
      emit({
        type: 'image.healed',
        severity: 'info',
        subject: image.id,
        message: `Image ${image.name} was repaired from ${phrase(origin)}: its manifest was damaged.`,
        details: whereOf(origin),
      })
      return true
    } catch (error) {
      pass.signal.throwIfAborted()
      // Another failure, such as a full disk, ends the pass.
      if (faultOf(error) === undefined) throw error
      pass.failures.push(peerProblem(origin.url, error))
      log.warn('an origin failed to repair an image', { origin: origin.name, image: image.id, error })
    }
  }
  return false
}

/** Emits what was put back and from where. */
function announce({ deps, sent, result }: Pass): void {
  for (const [origin, digests] of sent) {
    if (digests.length === 0) continue
    deps.log.info('slices were repaired', { origin: origin.name, slices: digests.length })
    deps.emit({
      type: 'slices.healed',
      severity: 'info',
      subject: deps.storeId,
      message: `${count(digests.length, 'damaged slice')} ${digests.length === 1 ? 'was' : 'were'} fetched from ${phrase(origin)} and put back.`,
      details: { ...whereOf(origin), slices: digests.length, digests: digests.slice(0, NAMED_MAX) },
    })
  }
  if (result.slicesLeft === 0 && result.imagesLeft.length === 0) return
  deps.emit({
    type: 'heal.incomplete',
    severity: 'warning',
    subject: deps.storeId,
    message: `${count(result.imagesLeft.length, 'image')} could not be repaired; no origin sent ${count(result.slicesLeft, 'slice')} of them.`,
    details: { slicesLeft: result.slicesLeft, imagesLeft: result.imagesLeft.slice(0, NAMED_MAX) },
  })
}

/** Returns how messages name a store. */
function phrase({ kind, name }: KnownOrigin): string {
  return kind === 'origin' ? `origin ${name}` : `store ${name}, which this store synced with,`
}

/** Returns how details of events name a store. */
function whereOf({ kind, name, storeId, url }: KnownOrigin): Record<string, string> {
  return { [kind]: name, storeId, url }
}

/** Returns the problem of a pass that left something damaged. */
function incomplete({ result, failures, usable }: Pass): ProblemError {
  const left = `${count(result.imagesLeft.length, 'image')} and ${count(result.slicesLeft, 'slice')} are still damaged`
  const extras = { images: result.imagesLeft.slice(0, NAMED_MAX), slicesHealed: result.slicesHealed }
  if (failures.length > 0 || usable.size === 0) {
    const [cause] = failures
    const why = cause instanceof ProblemError ? ` ${cause.message}` : ''
    return problem('origin-unreachable', `${left}: not every origin answered.${why}`, extras, { cause })
  }
  return problem('data-corrupt', `${left}: no origin has them.`, {
    ...extras,
    action: 'Sync the images from a store that has them, or add such a store as an origin. If none has them, delete the images.',
  })
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
