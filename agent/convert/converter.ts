// Converts the content of an image while it is read: the format of the image decides how the guest disk is found, the target how it is written.

import { parseDigest } from '../../protocol/slices/digest.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import type { ImageFormat } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import type { Conversion, ConversionForm, ImageConverter } from '../contract/convert.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceProvider } from '../contract/slices.ts'
import { readAllocation } from './allocation.ts'
import type { Allocation } from './allocation.ts'
import { createAllocationCache } from './allocation-cache.ts'
import type { GuestDisk, SourceFile } from './guest-disk.ts'
import type { GuestSource } from './guest-source.ts'
import { openQcow2Disk } from './readers/qcow2.ts'
import { createRawDisk } from './readers/raw.ts'
import { openVmdkDisk } from './readers/vmdk.ts'
import { openSourceFile } from './source-file.ts'
import { writeQcow2 } from './writers/qcow2.ts'
import { writeRaw } from './writers/raw.ts'
import { writeVhd } from './writers/vhd.ts'
import { writeVmdk } from './writers/vmdk.ts'

/**
 * Versions of the writers. To be increased with every change of the bytes that a writer produces. The compressed bytes of a VMDK also depend on the
 * runtime.
 */
const VERSIONS = { raw: '1', qcow2: '1', vmdk: `1-${Bun.version}`, vhd: '1' } as const

/** Longest disk that is converted, in bytes: 64 TiB. It bounds the time that reading all tables takes. */
const DISK_BYTES_MAX = 64 * 1024 ** 4

const NEVER = new AbortController().signal

export interface ConverterDeps {
  readonly slices: Pick<SliceProvider, 'read'>
  readonly clock: Clock
}

/** Creates the converter of a store. */
export function createConverter({ slices, clock }: ConverterDeps): ImageConverter {
  const allocations = createAllocationCache()
  return {
    versionOf: (target) => `${target}-${VERSIONS[target]}`,
    async open(image, { manifest, read }, form, signal) {
      const file = openSourceFile(read ? { read: (_manifest, start, end, stop) => read(start, end, stop ?? NEVER) } : slices, manifest, clock)
      const disk = await openDisk(file, form === 'asStored' ? 'raw' : (image.format ?? 'raw'), clock, signal)
      if (form !== 'asStored' && disk.length > DISK_BYTES_MAX)
        throw problem('invalid-input', 'A disk of more than 64 TiB cannot be converted.', { action: 'Download the content without "as".' })
      const { manifestDigest } = image
      const allocation = (stop?: AbortSignal): Promise<Allocation> =>
        manifestDigest === null ? readAllocation(disk, stop) : allocations.find(`${image.format} ${manifestDigest}`, () => readAllocation(disk, stop))
      return openConversion({ disk, file, allocation, seed: seedOf(manifestDigest, manifest) }, form, signal)
    },
  }
}

async function openDisk(file: SourceFile, format: ImageFormat, clock: Clock, signal: AbortSignal | undefined): Promise<GuestDisk> {
  switch (format) {
    case 'raw':
    case 'iso':
      return createRawDisk(file)
    case 'qcow2':
      return openQcow2Disk(file, clock, signal)
    case 'vmdk':
      return openVmdkDisk(file, clock, signal)
  }
}

/** Opens the form of a guest disk. */
export async function openConversion(source: GuestSource, form: ConversionForm, signal?: AbortSignal): Promise<Conversion> {
  switch (form) {
    case 'asStored':
    case 'raw':
      return writeRaw(source)
    case 'qcow2':
      return writeQcow2(source, signal)
    case 'vmdk':
      return writeVmdk(source)
    case 'vhd':
      return writeVhd(source)
  }
}

/** Returns 32 bytes that identify the content. */
function seedOf(manifestDigest: string | null, manifest: Manifest): Uint8Array {
  const digest: Digest | undefined = manifestDigest === null ? undefined : parseDigest(manifestDigest)
  const seed = new Uint8Array(32)
  if (digest !== undefined) seed.set(Buffer.from(digest.slice('sha256:'.length), 'hex'))
  else new DataView(seed.buffer).setFloat64(0, manifest.imageLength)
  return seed
}
