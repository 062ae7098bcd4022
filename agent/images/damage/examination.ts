// Examines a new image: detects its format, counts its stored size, and verifies the declared digest.

import type { Image } from '../../../protocol/images/image.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { PROBLEMS } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceMaintenance, SliceProvider } from '../../contract/slices.ts'
import type { Damage } from './damage.ts'
import { computeWholeDigest } from '../digest/whole-digest.ts'
import type { ImageKeeper } from '../records/image-keeper.ts'
import { applyRules } from '../records/image-rules.ts'
import type { Examination } from '../records/image-states.ts'
import { inspectImage, refusedUnseen } from '../formats/inspection.ts'
import type { ImageBytes } from '../formats/probe.ts'
import { countStoredSize } from '../manifests/slice-sizes.ts'

/** What to do about a new image with damaged slices, of which no other store has a copy. */
const UNREADABLE_ACTION = 'Check the disk (dmesg, smartctl), upload or sync the image again, and run scrub: it is inspected again once its slices are intact.'

export interface ExaminationDeps {
  readonly clock: Clock
  readonly slices: SliceProvider & Pick<SliceMaintenance, 'sizes'>
  readonly keeper: ImageKeeper
  readonly damage: Damage
  /** Kinds of images that the store takes now; none for all. */
  readonly acceptedKinds: () => readonly Image['kind'][]
}

/** Examines an image. Refuses an image with damaged slices. Throws disk errors, and `data-corrupt` if the manifest is damaged. */
export async function examineImage(
  { clock, slices, keeper, damage, acceptedKinds }: ExaminationDeps,
  id: string,
  signal: AbortSignal,
  onHashed: (bytes: number) => void,
): Promise<Examination> {
  const { image, life } = keeper.need(id)
  const pause = (): Promise<void> => clock.sleep(0)
  using opened = await damage.openManifest(id)
  const { manifest } = opened
  try {
    const storedSize = await countStoredSize(manifest, { sizes: (digests) => slices.sizes(digests), pause })
    const found = await inspectImage(bytesOf(slices, manifest, signal), life.declared.format, { clock, signal })
    const inspection = applyRules(found, { image, life }, acceptedKinds())
    if (inspection.kind === 'refused' || life.declared.digest === null) return { inspection, storedSize }
    const digest = await computeWholeDigest(slices, manifest, { isAwaited: true, pause, signal, onHashed })
    if (digest === life.declared.digest) return { inspection, storedSize, digest }
    const reason = `Digest mismatch: expected ${life.declared.digest}, but the received bytes have ${digest}. ${PROBLEMS['digest-mismatch'].action}`
    const details = { ...inspection.details, refusal: 'digest-mismatch' }
    return { inspection: { ...inspection, kind: 'refused', refusal: 'digest-mismatch', details, reason }, storedSize, digest }
  } catch (error) {
    if (!(error instanceof SliceUnreadable)) throw error
    const reason = `Image ${image.name} cannot be read back: ${error.message}. ${UNREADABLE_ACTION}`
    return { inspection: refusedUnseen('data-corrupt', reason), storedSize: null }
  }
}

function bytesOf(slices: SliceProvider, manifest: Manifest, signal: AbortSignal): ImageBytes {
  return {
    length: manifest.imageLength,
    async readInto(offset, buffer) {
      const end = Math.min(offset + buffer.byteLength, manifest.imageLength)
      let filled = 0
      for await (const piece of slices.read(manifest, offset, end, signal)) {
        buffer.set(piece, filled)
        filled += piece.byteLength
      }
      return filled
    },
  }
}
