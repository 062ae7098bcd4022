// The raw form of a disk: its bytes.

import type { SeekableConversion } from '../../contract/convert.ts'
import { allocatedLength } from '../guest-disk.ts'
import type { GuestSource } from '../guest-source.ts'
import { readGuest } from '../guest-reader.ts'

/** Returns the raw file of a disk. */
export function writeRaw(source: GuestSource): SeekableConversion {
  return {
    kind: 'seekable',
    length: source.disk.length,
    measure: (signal) => allocatedLength(source.disk, signal),
    parts: (start, end, signal) => readGuest(source, start, end, signal),
  }
}
