// Inspection: detects the format of an image from its bytes, regardless of the declared format, before anything else reads them. Every detector
// reads the same bytes. Bytes that no detector recognises are `raw`; bytes that fail a check never become raw. An image that two detectors recognise
// is refused, because readers would disagree about its content.

import { errorText } from '../../../protocol/errors.ts'
import type { FormatDetails, ImageFormat } from '../../../protocol/images/image.ts'
import { PROBLEMS } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import type { Detection, Detector, ForeignDetection, ImageProbe, NativeDetection } from './format.ts'
import { detectDmg } from './dmg.ts'
import { detectIso } from './iso.ts'
import { detectPartitions } from './partitions.ts'
import { createProbe, ProbeReadFailed } from './probe.ts'
import type { ImageBytes, ProbeOptions } from './probe.ts'
import { detectQcow2 } from './qcow2/qcow2.ts'
import { detectSignature } from './signatures.ts'
import { detectTar } from './tar.ts'
import { detectVhd } from './vhd.ts'
import { detectVmdk } from './vmdk/vmdk.ts'

/** Every detector, by the name that a failed check is reported with. */
const DETECTORS: Readonly<Record<string, Detector>> = {
  qcow2: detectQcow2,
  vmdk: detectVmdk,
  iso: detectIso,
  signatures: detectSignature,
  tar: detectTar,
  vhd: detectVhd,
  dmg: detectDmg,
  partitions: detectPartitions,
}

/** Largest virtual size of an image in bytes. A larger one is a mistake, or an attempt to make a reader allocate memory for it. */
export const VIRTUAL_SIZE_MAX = 64 * 1024 ** 4

/** Code of the problem for which an inspection refuses an image. */
export type Refusal = Extract<
  ProblemCode,
  | 'unsafe-image'
  | 'format-mismatch'
  | 'unsupported-format'
  | 'invalid-input'
  | 'digest-mismatch'
  | 'data-corrupt'
  | 'insufficient-storage'
  | 'limit-reached'
  | 'forbidden'
  | 'kind-not-accepted'
>

/** Result of an inspection. `reason` tells the operator what is wrong and what to do. */
export type Inspection =
  | { readonly kind: 'accepted'; readonly format: ImageFormat; readonly virtualSize: number | null; readonly details: FormatDetails }
  | {
      readonly kind: 'refused'
      readonly refusal: Refusal
      readonly format: ImageFormat | null
      readonly virtualSize: number | null
      readonly details: FormatDetails
      readonly reason: string
    }

/**
 * Inspects an image. `declared` is the format that the uploader declared, or null. Throws what reading the bytes throws; every other error of a
 * detector refuses the image.
 */
export async function inspectImage(image: ImageBytes, declared: ImageFormat | null, options: ProbeOptions): Promise<Inspection> {
  if (image.length === 0) {
    const reason = 'The upload was empty: an image must have at least one byte. Check the source file and upload it again.'
    return refusedUnseen('invalid-input', reason)
  }
  const probe = createProbe(image, options)
  const found: Detection[] = []
  for (const [name, detect] of Object.entries(DETECTORS)) {
    try {
      const detection = await detect(probe)
      if (detection) found.push(detection)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (error instanceof ProbeReadFailed) throw error.cause
      return unsafe(null, [`the check for ${name} failed (${errorText(error)})`])
    }
  }
  return judge(probe, found, declared)
}

/** Returns the refusal of an image in whose bytes nothing was detected. */
export function refusedUnseen(refusal: Refusal, reason: string): Inspection {
  return { kind: 'refused', refusal, format: null, virtualSize: null, details: undetected(refusal), reason }
}

/** Returns what is known of an image whose bytes were not examined: only the code for which it is refused. */
export function undetected(refusal: ProblemCode): FormatDetails {
  return { ...detailsOf('unknown'), refusal }
}

/** Decides about an image by everything that was detected in it. */
function judge(probe: ImageProbe, found: readonly Detection[], declared: ImageFormat | null): Inspection {
  const foreign = found.filter((detection) => 'foreign' in detection)
  const native = found.filter((detection) => 'format' in detection)
  const formats = native.filter(({ format }) => format !== 'raw')
  const partitions = native.find(({ format }) => format === 'raw')
  const [first] = formats
  const names = [...formats.map(({ format }) => format), ...foreign.map((detection) => detection.foreign)]
  // A foreign disk with a guest's partition table where it would be in a raw disk is common, such as a fixed vhd.
  if (partitions && foreign.length === 0 && first && first.format !== 'iso') names.push(`a disk with a partition table (${tableOf(partitions)})`)
  if (names.length > 1) return unsafe(null, [`its bytes are valid as both ${names.join(' and ')}`])
  if (foreign[0]) return refuseForeign(foreign[0], declared)
  const detected: NativeDetection = first ?? partitions ?? { format: 'raw', virtualSize: probe.length, refusals: [] }
  const facts = first && partitions ? { ...partitions.facts, ...first.facts, ...hybridFacts(first, partitions) } : detected.facts
  return judgeNative({ ...detected, ...(facts && { facts }) }, declared)
}

/** Returns the facts of a hybrid ISO: it can be started as a disc or as a disk. */
function hybridFacts(iso: NativeDetection, partitions: NativeDetection): Pick<FormatDetails, 'bootable' | 'partitionTable'> {
  return {
    bootable: iso.facts?.bootable === true || partitions.facts?.bootable === true || (iso.facts?.bootable ?? null),
    partitionTable: partitions.facts?.partitionTable ?? null,
  }
}

function tableOf({ facts }: NativeDetection): string {
  return facts?.partitionTable ?? 'raw'
}

function judgeNative(detected: NativeDetection, declared: ImageFormat | null): Inspection {
  const { format, virtualSize, refusals } = detected
  const details = detailsOf(format, detected.facts)
  const isBeyond = virtualSize !== null && virtualSize > VIRTUAL_SIZE_MAX
  const all = isBeyond ? [...refusals, `its virtual size of ${virtualSize} bytes is beyond the limit of ${VIRTUAL_SIZE_MAX} bytes`] : refusals
  if (all.length > 0) return unsafe(detected, all)
  if (declared === null || declared === format) return { kind: 'accepted', format, virtualSize, details }
  const reason = `Format mismatch: declared as ${declared}, but its bytes are ${format}. ${PROBLEMS['format-mismatch'].action}`
  return { kind: 'refused', refusal: 'format-mismatch', format, virtualSize, details: { ...details, refusal: 'format-mismatch' }, reason }
}

function refuseForeign({ foreign, name, advice }: ForeignDetection, declared: ImageFormat | null): Inspection {
  const refusal = declared === null ? 'unsupported-format' : 'format-mismatch'
  const details = { ...detailsOf(foreign), refusal }
  const reason =
    declared === null ? `Format not supported: the file is ${name}. ${advice}` : `Format mismatch: declared as ${declared}, but the file is ${name}. ${advice}`
  return { kind: 'refused', refusal, format: null, virtualSize: null, details, reason }
}

function unsafe(detected: NativeDetection | null, clauses: readonly string[]): Inspection {
  const refusal = 'unsafe-image'
  const reason = `Unsafe image: ${clauses.join(', and ')}. ${PROBLEMS['unsafe-image'].action}`
  const details = { ...detailsOf(detected?.format ?? 'unknown', detected?.facts), refusal }
  return { kind: 'refused', refusal, format: detected?.format ?? null, virtualSize: detected?.virtualSize ?? null, details, reason }
}

function detailsOf(detected: string, facts: NativeDetection['facts'] = {}): FormatDetails {
  const unknown = { variant: null, clusterSize: null, compression: null, bootable: null, partitionTable: null, allocatedSize: null, refusal: null }
  return { detected, ...unknown, ...facts }
}
