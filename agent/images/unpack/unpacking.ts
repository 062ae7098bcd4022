// Unpacks an image that was uploaded with `decompress=true`, before its inspection:
//
//   read the compressed file back → verify its declared digest → unpack in a worker → ingest → manifest durable → image.json names it → remove `compressed`
//
// Until image.json names the new manifest, the image is what `compressed` says. A crash before that begins again at the next start; what was unpacked
// until then is removed by gc. If the file can never be unpacked, image.json says so and names nothing, and `compressed` is removed.

import type { Image } from '../../../protocol/images/image.ts'
import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { problemCode, ProblemError, PROBLEMS } from '../../../protocol/problems.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, CrashPoint } from '../../contract/runtime.ts'
import type { Checkpoint, SliceIngester, SliceProvider, SliceRoot } from '../../contract/slices.ts'
import { computeWholeDigest } from '../digest/whole-digest.ts'
import type { Refusal } from '../formats/inspection.ts'
import type { ManifestFiles } from '../manifests/manifest-files.ts'
import type { WrittenManifest } from '../manifests/manifest-writer.ts'
import { COMPRESSION_BYTES, compressionOf, UnpackFault } from './compression.ts'
import { createEntrySpool } from './entry-spool.ts'
import type { EntrySpool } from './entry-spool.ts'
import { promiseStep, refuseExcess, UNPACK_STEP_BYTES, UnpackSpaceLacking } from './unpack-limits.ts'
import type { UnpackLimits } from './unpack-limits.ts'
import { unpackStream } from './unpacked-stream.ts'

export interface UnpackingDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly crashPoint: CrashPoint
  readonly slices: SliceProvider & Pick<SliceIngester, 'ingest'>
  /** Manifests of images, and those of compressed files that will become images. */
  readonly manifests: ManifestFiles
  readonly compressed: ManifestFiles
  /** Returns the folder of an image. */
  readonly folder: (id: string) => string
  readonly limits: UnpackLimits
}

/** A compressed file that will become an image. */
export interface CompressedImage {
  readonly image: Pick<Image, 'id' | 'name'>
  readonly manifestDigest: string
  /** Digest of the compressed file that the uploader declared; null if none was declared. */
  readonly declaredDigest: string | null
  /** Called with the unpacked bytes so far. */
  readonly onUnpacked: (bytes: number) => void
}

/** How unpacking ended. `reason` says what is wrong and what to do. */
export type UnpackOutcome = { readonly kind: 'unpacked' } | { readonly kind: 'refused'; readonly refusal: Refusal; readonly reason: string }

export interface Unpacking {
  /**
   * Unpacks an image. `commit` records the manifest in image.json, durable when it resolves; it throws ProblemError if the image is refused for its
   * length. Everything that was stored stays protected from gc until then. Throws disk errors, what reading the slices throws, and the reason of the
   * signal.
   */
  unpack(file: CompressedImage, commit: (manifest: WrittenManifest) => Promise<void>, signal: AbortSignal): Promise<UnpackOutcome>
  /** Removes the compressed file of an image that was refused for good. Throws disk errors. */
  discard(id: string): Promise<void>
  /** Yields the roots of the images that are being unpacked. gc lists them before the images that they become. */
  roots(): Iterable<SliceRoot>
}

const AGAIN = 'Compress the file again, or unpack it and upload the disk image inside it.'

/** Creates the unpacking of a catalogue. */
export function createUnpacking(deps: UnpackingDeps): Unpacking {
  const spools = new Map<string, EntrySpool>()
  return {
    async unpack(file, commit, signal) {
      try {
        return await unpackImage({ ...deps, spools, commit }, file, signal)
      } catch (error) {
        return refusalOf(file, error)
      }
    },
    discard: (id) => deps.compressed.remove(id),
    *roots() {
      for (const [id, spool] of spools) yield { name: `unpacking ${id}`, entries: () => entriesOf(spool) }
    },
  }
}

interface Unpack extends UnpackingDeps {
  readonly spools: Map<string, EntrySpool>
  readonly commit: (manifest: WrittenManifest) => Promise<void>
}

async function* entriesOf(spool: EntrySpool) {
  for await (const block of spool.blocks()) yield* block
}

/** Returns why the image is refused. Throws every other error again. */
function refusalOf({ image }: CompressedImage, error: unknown): UnpackOutcome {
  const refused = (refusal: Extract<UnpackOutcome, { kind: 'refused' }>['refusal'], reason: string): UnpackOutcome => ({ kind: 'refused', refusal, reason })
  if (error instanceof UnpackFault) return refused('unsafe-image', `The compressed file cannot be unpacked: ${error.message}. ${AGAIN}`)
  if (error instanceof UnpackSpaceLacking) return refused('insufficient-storage', `${error.message} Free space, then restore the image to unpack it again.`)
  if (error instanceof ManifestInvalid) {
    return refused('data-corrupt', `The manifest of the compressed file of image ${image.name} is damaged: ${error.message}. Upload the image again.`)
  }
  if (error instanceof ProblemError && problemCode(error.problem) === 'limit-reached') {
    return refused('limit-reached', `${error.problem.detail} Delete other images, then restore the image to unpack it again.`)
  }
  throw error
}

async function unpackImage(deps: Unpack, file: CompressedImage, signal: AbortSignal): Promise<UnpackOutcome> {
  const { id } = file.image
  using opened = await deps.compressed.openOnce(id, file.manifestDigest)
  const { manifest } = opened
  const compression = compressionOf(await headOf(deps.slices, manifest, signal))
  if (!compression) {
    const reason = `The file is not compressed with gzip, xz or zstd, but was uploaded with decompress=true. Upload it again without decompress.`
    return { kind: 'refused', refusal: 'invalid-input', reason }
  }
  if (file.declaredDigest !== null) {
    const pause = (): Promise<void> => deps.clock.sleep(0)
    const digest = await computeWholeDigest(deps.slices, manifest, { isAwaited: true, pause, signal })
    if (digest !== file.declaredDigest) {
      const reason = `Digest mismatch: expected ${file.declaredDigest} for the compressed file, but the received bytes have ${digest}. ${PROBLEMS['digest-mismatch'].action}`
      return { kind: 'refused', refusal: 'digest-mismatch', reason }
    }
  }
  const spaceKey = `unpack ${id}`
  await using spool = await createEntrySpool(deps.disk, deps.folder(id))
  using _root = asRoot(deps.spools, id, spool)
  try {
    // Disposing releases the pins of the last checkpoint, when the image names its slices.
    await using ingest = deps.slices.ingest({ offset: 0, tail: new Uint8Array(0) })
    const store = async (checkpoint: Checkpoint): Promise<void> => {
      await spool.append(checkpoint.entries)
      checkpoint.release()
      deps.crashPoint('images:unpack-step')
    }
    await promiseStep(deps.limits, spaceKey)
    let length = 0
    let stepEnd = UNPACK_STEP_BYTES
    for await (const { bytes } of unpackStream(compression, deps.slices.read(manifest, 0, manifest.imageLength, signal), signal)) {
      length += bytes.byteLength
      refuseExcess(length, manifest.imageLength, deps.limits)
      await ingest.write(bytes)
      file.onUnpacked(length)
      if (length < stepEnd) continue
      await store(await ingest.checkpoint())
      await promiseStep(deps.limits, spaceKey)
      stepEnd = length + UNPACK_STEP_BYTES
    }
    await store(await ingest.finish())
    await publish(deps, file, spool, signal)
  } finally {
    await deps.limits.space?.promise(spaceKey, 0)
  }
  return { kind: 'unpacked' }
}

/** Makes the unpacked bytes the content of the image. */
async function publish(
  { manifests, compressed: compressedFiles, crashPoint, commit }: Unpack,
  { image }: CompressedImage,
  spool: EntrySpool,
  signal: AbortSignal,
): Promise<void> {
  const written = await manifests.writeContent(image.id, { blocks: () => spool.blocks(), length: spool.length, signal })
  crashPoint('images:unpack-written')
  await commit(written)
  crashPoint('images:unpacked')
  await compressedFiles.remove(image.id)
}

function asRoot(spools: Map<string, EntrySpool>, id: string, spool: EntrySpool): Disposable {
  spools.set(id, spool)
  return { [Symbol.dispose]: () => void spools.delete(id) }
}

async function headOf(slices: SliceProvider, manifest: Manifest, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of slices.read(manifest, 0, Math.min(COMPRESSION_BYTES, manifest.imageLength), signal)) pieces.push(new Uint8Array(piece))
  return Buffer.concat(pieces)
}
