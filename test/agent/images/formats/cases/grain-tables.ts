// Headers of vmdk for tests of their grain tables: grains of 8 sectors, tables of one sector unless a test says otherwise.

import type { VmdkHeader } from '../../../../../agent/images/formats/vmdk/header.ts'

export interface Disk {
  /** Tables of 128 entries that the directory has room for. */
  readonly tables?: number
  /** Sectors of the file. */
  readonly sectors?: number
  /** Bytes that are missing at its end. */
  readonly cut?: number
  readonly directory?: number
  readonly header?: Partial<VmdkHeader>
}

/** Returns a header: the descriptor is in sectors 1 to 20, and the directory in sector 21. */
export function headerOf({ tables = 1, directory = 21, header = {} }: Disk): VmdkHeader {
  return {
    capacity: tables * 128 * 8,
    grainSectors: 8,
    grainBytes: 4096,
    descriptorSector: 1,
    descriptorSectors: 20,
    tableEntries: 128,
    directorySector: directory,
    redundantSector: null,
    isCompressed: false,
    hasZeroedGrains: false,
    bytes: new Uint8Array(512),
    ...header,
  }
}
