// Inspection: detects the format of an image from its bytes, regardless of the declared format. All detectors check the same bytes. An image that
// no detector recognises is `raw`. An image that two detectors recognise is refused, because readers would disagree about its content.

import type { ImageFormat } from '../../../protocol/image.ts'
import { PROBLEMS } from '../../../protocol/problems.ts'
import type { Detection, Detector, ImageProbe } from './format.ts'
import { detectIso } from './iso.ts'
import { detectQcow2 } from './qcow2.ts'
import { detectVmdk } from './vmdk.ts'

const DETECTORS: readonly Detector[] = [detectQcow2, detectVmdk, detectIso]

/** Result of an inspection. `reason` tells the operator what is wrong and what to do. */
export type Inspection =
  | { readonly kind: 'accepted'; readonly format: ImageFormat; readonly virtualSize: number | null }
  | { readonly kind: 'refused'; readonly format: ImageFormat | null; readonly virtualSize: number | null; readonly reason: string }

/** Inspects an image. `declared` is the format that the uploader declared, or null. */
export async function inspectImage(probe: ImageProbe, declared: ImageFormat | null): Promise<Inspection> {
  if (probe.length === 0) {
    return {
      kind: 'refused',
      format: null,
      virtualSize: null,
      reason: 'The upload was empty: an image must have at least one byte. Check the source file and upload it again.',
    }
  }
  const found: Detection[] = []
  for (const detect of DETECTORS) {
    const detection = await detect(probe)
    if (detection) found.push(detection)
  }
  const detected: Detection = found[0] ?? { format: 'raw', virtualSize: probe.length, refusals: [] }
  const { format, virtualSize } = detected
  const refused = (reason: string): Inspection => ({ kind: 'refused', format, virtualSize, reason })
  if (found.length > 1) {
    const names = found.map((detection) => detection.format).join(' and ')
    return {
      kind: 'refused',
      format: null,
      virtualSize: null,
      reason: `Unsafe image: its bytes are valid as both ${names}. ${PROBLEMS['unsafe-image'].action}`,
    }
  }
  if (detected.refusals.length > 0) return refused(`Unsafe image: ${detected.refusals.join(', and ')}. ${PROBLEMS['unsafe-image'].action}`)
  if (declared !== null && declared !== format) {
    return refused(`Format mismatch: declared as ${declared}, but its bytes are ${format}. ${PROBLEMS['format-mismatch'].action}`)
  }
  return { kind: 'accepted', format, virtualSize }
}
