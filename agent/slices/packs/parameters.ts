// Parameters of the slice store: those that determine bytes on disk (docs/format.md), and its bounds in memory.

import type { CutterParameters } from '../../../protocol/slices/cutter.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** The cutter of a new store; docs/decisions/0006-slices-of-32-kib.md has the reasons. */
export const CUTTER_DEFAULT: CutterParameters = { block: 4 * KIB, minimum: 8 * KIB, average: 32 * KIB, maximum: 128 * KIB }

/** Bytes of an image that a worker processes at a time. */
export const SEGMENT_BYTES = 2 * MIB
/** Segments of one ingest that are filled, cut or stored at the same time; bounds its memory to about 40 MiB. */
export const SEGMENTS_IN_FLIGHT_MAX = 8
/** Length at which a pack is sealed. */
export const PACK_SEAL_BYTES = 128 * MIB
/** Record count at which a pack is sealed: until then its rows wait in memory. */
export const PACK_SEAL_RECORDS = 64 * 1024
/** Part of a slice that compression must save for the slice to be stored compressed. */
export const COMPRESSION_SAVING_MIN = 1 / 16
export const ZSTD_LEVEL = 1
