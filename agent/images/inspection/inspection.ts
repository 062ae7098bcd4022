// Inspection: the format of an image by its bytes, whatever was declared. Every detector looks at the same bytes. An image that no detector
// recognises is `raw`; one that two recognise is refused, because two readers would see different content.

import type { ImageFormat } from '../../../protocol/image.ts'
import { PROBLEMS } from '../../../protocol/problems.ts'
import type { Detection, Detector, ImageProbe } from './formats/format.ts'
import { detectIso } from './formats/iso.ts'
import { detectQcow2 } from './formats/qcow2.ts'
import { detectVmdk } from './formats/vmdk.ts'

const DETECTORS: readonly Detector[] = [detectQcow2, detectVmdk, detectIso]

/** `reason` is a sentence for the operator with what to do next. */
export type Inspection =
  | { readonly kind: 'accepted'; readonly format: ImageFormat; readonly virtualSize: number | null }
  | { readonly kind: 'refused'; readonly format: ImageFormat | null; readonly virtualSize: number | null; readonly reason: string }

/** Inspects an image. `declared` is the format the uploader named, null for none. */
export async function inspectImage(probe: ImageProbe, declared: ImageFormat | null): Promise<Inspection> {
  if (probe.length === 0) {
    return {
      kind: 'refused',
      format: null,
      virtualSize: null,
      reason: 'The upload was empty: an image has at least one byte. Check the source file and upload it again.',
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
    return { kind: 'refused', format: null, virtualSize: null, reason: `Unsafe image: its bytes are ${names} at once. ${PROBLEMS['unsafe-image'].action}` }
  }
  if (detected.refusals.length > 0) return refused(`Unsafe image: ${detected.refusals.join(', and ')}. ${PROBLEMS['unsafe-image'].action}`)
  if (declared !== null && declared !== format) {
    return refused(`Format mismatch: declared as ${declared}, but its bytes are ${format}. ${PROBLEMS['format-mismatch'].action}`)
  }
  return { kind: 'accepted', format, virtualSize }
}
