// Space above the reserve. Everything that adds data checks it first.

/** Space that new data can use. Promised bytes have been granted to uploads and syncs and are not written yet. */
export interface SpaceState {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly reservedBytes: number
  readonly promisedBytes: number
  /** freeBytes − reservedBytes − promisedBytes, never below 0. */
  readonly availableBytes: number
}

/** A request for space by a transfer that may use only a share of the free space. */
export interface ShareOrder {
  /** Identifies the transfer. A later promise replaces an earlier one with the same key. */
  readonly key: string
  /** All promises of one account together get at most half of the space that is free above the reserve and not promised to other accounts. */
  readonly account: string
  /** Bytes that the transfer has not written yet. If both this and `fitting` are 0, the promise is removed. */
  readonly bytes: number
  /** Bytes that must fit now, promised or not. */
  readonly fitting: number
}

export interface Space {
  state(): Promise<SpaceState>
  /**
   * Promises bytes to a transfer, replacing an earlier promise with the same key; 0 removes it. Returns false and changes nothing if the
   * space above the reserve is insufficient.
   */
  promise(key: string, bytes: number): Promise<boolean>
  /**
   * Promises a transfer as many of its bytes as the share of its account allows, and never fewer than before. The transfer may write
   * further bytes without a promise, and calls again before each small part of them. Returns false and changes nothing if `fitting` bytes
   * exceed both the earlier promise and the unpromised space above the reserve.
   */
  promiseShare(order: ShareOrder): Promise<boolean>
  /** Returns whether free space is below the reserve; writers then fail with `insufficient-storage`. Cached for one second. */
  isBelowReserve(): Promise<boolean>
}
