// Parameters of the slice store that decide bytes on disk (docs/format.md) and its bounds in memory.

import type { CutterParameters } from '../../../protocol/cutter.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** The cutter of a new store; why just these: docs/decisions/0006-slices-of-32-kib.md. */
export const CUTTER_DEFAULT: CutterParameters = { block: 4 * KIB, minimum: 8 * KIB, average: 32 * KIB, maximum: 128 * KIB }

/** Bytes of an image that one worker takes at a time. */
export const SEGMENT_BYTES = 2 * MIB
/** Segments of one ingest that are filled, cut or stored at the same time: bounds its memory to about 40 MiB. */
export const SEGMENTS_IN_FLIGHT_MAX = 8
/** A pack is sealed when it has grown to this. */
export const PACK_SEAL_BYTES = 128 * MIB
/** And when it holds this many records: their rows wait in memory until then. */
export const PACK_SEAL_RECORDS = 64 * 1024
/** A slice is stored compressed when that saves at least this part of it. */
export const COMPRESSION_SAVING_MIN = 1 / 16
export const ZSTD_LEVEL = 1
