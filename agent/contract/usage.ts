// Usage records: the periods in which images were available to their owners. image.json holds those of an image as long as it exists; the ledger
// holds those of images that were removed.

import type { Image } from '../../protocol/images/image.ts'

/** A period in which an image was available to one owner. Times are in milliseconds since 1970, lengths in bytes. */
export interface UsagePeriod {
  readonly imageId: string
  readonly name: string
  readonly kind: Image['kind']
  /** Null if the image had no owner. */
  readonly owner: string | null
  readonly length: number
  readonly storedSize: number | null
  readonly fromMs: number
  /** Null while the period continues. */
  readonly toMs: number | null
}

export type EndedPeriod = UsagePeriod & { readonly toMs: number }

/** Records of removed images on the mount path. */
export interface UsageLedger {
  /**
   * Appends periods, durable when it resolves. With `mayRepeat`, an earlier attempt may have appended the same periods (same image, same start);
   * each of them then counts once. Throws disk errors; the caller repeats the call.
   */
  append(periods: readonly EndedPeriod[], options: { readonly mayRepeat: boolean }): Promise<void>
}

/** Reads the ledger. */
export interface UsageRecords {
  /** Yields the periods that end after a time, each once. Reports the number of damaged records, which are skipped. */
  records(fromMs: number, onDamaged: (count: number) => void): AsyncIterable<EndedPeriod>
}

/** The periods of all images of the catalogue at one moment. Later changes of images do not change it. */
export interface UsageSnapshot {
  periods(): Iterable<UsagePeriod>
  /** Whether this period is one of the snapshot. Ask once all periods have been visited. The ledger may have it too, while its image is being removed. */
  has(imageId: string, fromMs: number): boolean
}
