// Space above the reserve, held against everything that adds data.

/** How much may still be added, now. Promises are what running uploads and syncs were granted and have not yet sent. */
export interface SpaceState {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly reservedBytes: number
  readonly promisedBytes: number
  /** freeBytes − reservedBytes − promisedBytes, never below 0. */
  readonly availableBytes: number
}

export interface Space {
  state(): Promise<SpaceState>
  /**
   * Promises bytes to a transfer under a key, replacing an earlier promise of the same key; 0 takes it back.
   * Gives false, and changes nothing, when there is not enough above the reserve.
   */
  promise(key: string, bytes: number): Promise<boolean>
  /** True while free space is below the reserve: writers stop with `insufficient-storage`. Cached for a second. */
  isBelowReserve(): Promise<boolean>
}
