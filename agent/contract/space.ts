// Space above the reserve, checked by everything that adds data.

/** How much may still be added. Promises are bytes that uploads and syncs were granted and have not yet written. */
export interface SpaceState {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly reservedBytes: number
  readonly promisedBytes: number
  /** freeBytes − reservedBytes − promisedBytes, never below 0. */
  readonly availableBytes: number
}

/** A request for space of a transfer that may have only a share of what is free. */
export interface ShareOrder {
  /** The transfer; a later promise replaces an earlier one with the same key. */
  readonly key: string
  /** Whose share it is: the promises of one account together get at most half of what is free above the reserve and not promised to others. */
  readonly account: string
  /** Bytes that the transfer may still write; 0 removes the promise. */
  readonly bytes: number
  /** Bytes for which there must be room now, whether they are promised or not. */
  readonly fitting: number
}

export interface Space {
  state(): Promise<SpaceState>
  /**
   * Promises bytes to a transfer under a key, replacing an earlier promise of the same key; 0 removes it.
   * Returns false, and changes nothing, when there is not enough above the reserve.
   */
  promise(key: string, bytes: number): Promise<boolean>
  /**
   * Promises a transfer as many of its bytes as the share of its account allows, never fewer than it was promised before. The transfer
   * writes the other bytes at its own risk and asks again before each few of them. Gives false, and changes nothing, when `fitting` bytes were
   * not promised before and there is no room for them above the reserve beside what others were promised.
   */
  promiseShare(order: ShareOrder): Promise<boolean>
  /** True while free space is below the reserve: writers stop with `insufficient-storage`. Cached for a second. */
  isBelowReserve(): Promise<boolean>
}
