// Looks for images whose manifest or slices are missing, and for captures of instances that do not exist any more.

import type { Image } from '../../protocol/images/image.ts'
import type { ManifestBlock } from '../../protocol/slices/manifest.ts'
import { problemOf } from '../contract/failures.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import type { ImageContents, ImageVerification } from '../contract/images.ts'
import { findingOf } from './finding.ts'
import type { FoundFinding } from './finding.ts'

/** Entries of a manifest that are looked up at once. */
const LOOKUP_ENTRIES = 512
/** Kinds of images that are made from an instance and are of little use without it. Backups are kept for the case that it is gone. */
const KINDS_OF_INSTANCES: ReadonlySet<Image['kind']> = new Set(['capture', 'snapshot', 'virtualDisk'])

/** The catalogue as reconcile uses it. */
export interface ReconciledImages extends Pick<ImageContents, 'open'>, ImageVerification {
  each(): Iterable<Image>
  /** Deletes an image as the policy of the store says; returns undefined if it is removed permanently. Throws ProblemError. */
  delete(id: string, actor: string): Promise<Image | undefined>
}

interface LostSlices {
  has(digest: Uint8Array): boolean
}

export interface ImageSearchDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly images: ReconciledImages
  /** Returns the indexes of slices that the store does not have, or has with another length. */
  readonly missing: (digests: readonly Uint8Array[], lengths: readonly number[]) => readonly number[]
  /** Looks for the files of all packs. `has` says whether a slice is in a pack whose file is gone. */
  readonly lostPacks: () => Promise<LostSlices>
  /** The instances that exist; undefined if that is not known. */
  readonly instances: ReadonlySet<string> | undefined
  readonly signal: AbortSignal
  readonly onProgress: (done: number, total: number) => void
}

export async function* findImages(deps: ImageSearchDeps): AsyncGenerator<FoundFinding> {
  const { images, instances, signal, onProgress } = deps
  const lost = await deps.lostPacks()
  const all = [...images.each()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  for (const [i, image] of all.entries()) {
    signal.throwIfAborted()
    onProgress(i, all.length)
    const lack = await lackOf(deps, lost, image)
    if (lack !== undefined) yield imageFinding(deps, image, { kind: 'imageWithoutBytes', what: `Image ${image.name} cannot be read in full: ${lack}.` })
    else if (instances && isOfGoneInstance(image, instances))
      yield imageFinding(deps, image, {
        kind: 'captureWithoutInstance',
        what: `Image ${image.name} was made from instance ${image.sourceInstance}, which does not exist any more.`,
      })
  }
  onProgress(all.length, all.length)
}

/** Returns what an image lacks, as a clause; undefined for one that is whole, or whose bytes are not expected to be there. */
async function lackOf(deps: ImageSearchDeps, lost: LostSlices, image: Image): Promise<string | undefined> {
  if (image.status === 'error' && image.manifestDigest === null) return 'it never had content'
  if (image.status !== 'available' && image.status !== 'degraded' && image.status !== 'error') return undefined
  // Reads the file, which `open` may have in memory.
  if (!(await deps.images.isWhole(image.id))) return 'its manifest is damaged or missing'
  const budget = createLoopBudget(deps.clock)
  let [slices, bytes] = [0, 0]
  try {
    using content = await deps.images.open(image.id)
    for await (const block of content.manifest.blocks()) {
      const end = block.first + block.count
      for (let at = block.first; at < end; at += LOOKUP_ENTRIES) {
        for (const length of absentLengths(deps, lost, block, { from: at, to: Math.min(at + LOOKUP_ENTRIES, end) })) {
          slices++
          bytes += length
        }
        await budget.spend()
      }
      deps.signal.throwIfAborted()
    }
  } catch (error) {
    deps.signal.throwIfAborted()
    const { code } = problemOf(error)
    if (code === 'not-found') return undefined
    if (code === 'data-corrupt') return 'its manifest is damaged or missing'
    throw error
  }
  return slices === 0 ? undefined : `${slices} of its slices with ${bytes} bytes are missing`
}

/** Returns the lengths of the slices of some entries that the store does not have. */
function absentLengths(
  { missing }: ImageSearchDeps,
  lost: LostSlices,
  block: ManifestBlock,
  { from, to }: { readonly from: number; readonly to: number },
): number[] {
  const digests: Uint8Array[] = []
  const lengths: number[] = []
  for (let i = from; i < to; i++) {
    if (block.isZeroAt(i)) continue
    digests.push(block.digestAt(i))
    lengths.push(block.lengthAt(i))
  }
  const absent = new Set(missing(digests, lengths))
  return lengths.filter((_length, i) => absent.has(i) || lost.has(digests[i] ?? new Uint8Array(0)))
}

function isOfGoneInstance({ kind, status, sourceInstance, bindings }: Image, instances: ReadonlySet<string>): boolean {
  if (!KINDS_OF_INSTANCES.has(kind) || sourceInstance === null || status === 'deleted' || status === 'deleting') return false
  return !instances.has(sourceInstance) && bindings.every((instance) => !instances.has(instance))
}

function imageFinding({ images }: ImageSearchDeps, image: Image, { kind, what }: Pick<FoundFinding['finding'], 'kind' | 'what'>): FoundFinding {
  const finding = findingOf({
    kind,
    target: image.id,
    what,
    bytes: image.length,
    sinceMs: Date.parse(image.availableAt ?? image.createdAt),
    action: 'delete',
    effect: 'Deletes the image as the policy of the store says: into the recycle bin by default. A protected image and one that is bound is refused.',
    essence: `${image.manifestDigest}`,
  })
  return {
    finding,
    async run(actor) {
      const deleted = await images.delete(image.id, actor)
      return deleted ? 'The image is in the recycle bin.' : 'The image was removed permanently.'
    },
  }
}
