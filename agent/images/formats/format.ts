// Input and output of format detectors. A detector decides only by the bytes of the image, never by file names, extensions or request headers.

import type { FormatDetails, ImageFormat } from '../../../protocol/images/image.ts'
import type { LoopBudget } from '../../contract/loop-budget.ts'

/**
 * Random access to the bytes of an image, bounded in memory (probe.ts). Call `spend` between the steps of a long walk: it lets the event loop run,
 * and throws when the inspection is aborted.
 */
export interface ImageProbe extends LoopBudget {
  readonly length: number
  /**
   * Reads bytes at an offset. Returns fewer than `length` only at the end of the image. The bytes are valid until the next read, and must not be
   * changed. Call it again only after it has resolved. Throws an Error for more than READ_BYTES_MAX.
   */
  readAt(offset: number, length: number): Promise<Uint8Array>
}

/** Facts of a detection that are shown on the image. Members that a detector does not know are left out. */
export type DetectedFacts = Partial<Omit<FormatDetails, 'detected' | 'refusal'>>

/**
 * A recognised format that a store accepts if nothing speaks against it. `raw` is a partition table or a boot sector: bytes that nothing recognises
 * are raw without any detection. A raw detection beside an iso detection is a hybrid ISO, which is allowed.
 */
export interface NativeDetection {
  readonly format: ImageFormat
  /** Size that a guest sees, in bytes; null if the header does not contain it. */
  readonly virtualSize: number | null
  /** Why the image must not be used, as clauses such as `it has a backing file`; empty if it is safe. */
  readonly refusals: readonly string[]
  readonly facts?: DetectedFacts
}

/** A recognised format that no store accepts. */
export interface ForeignDetection {
  /** Short name, such as `vdi`. */
  readonly foreign: string
  /** What the file is, as in `The file is …`. */
  readonly name: string
  /** What to do instead, as whole sentences: usually the command that converts the file. */
  readonly advice: string
}

export type Detection = NativeDetection | ForeignDetection

/**
 * Decides whether the bytes are of one format, and whether they are safe. Returns undefined if they are not of this format. Never returns undefined
 * because a check fails: damaged, truncated and unusual images of the format are detected and refused. Any error that it throws refuses the image.
 */
export type Detector = (probe: ImageProbe) => Promise<Detection | undefined>

/** Returns the refusal of a structure that ends beyond the end of the file. */
export function cutOff(what: string): string {
  return `its ${what} is cut off, so it cannot be checked`
}

export function startsWith(bytes: Uint8Array, text: string, at = 0): boolean {
  if (bytes.byteLength < at + text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Returns a 64-bit size as a number, or null if it is not a safe integer. */
export function safeSize(size: bigint): number | null {
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null
}
