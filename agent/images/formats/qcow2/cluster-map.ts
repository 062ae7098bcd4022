// Which clusters of a qcow2 file are in use, one bit each. A long file has more clusters than the map, so the tables are walked once for each window
// of the file, and only clusters of that window are recorded.

/** Bytes of one bitmap. There are two. */
const BITMAP_BYTES = 4 * 1024 * 1024
const CLUSTERS_PER_WINDOW = BITMAP_BYTES * 8
/** Most windows of one file: with clusters of 64 KiB, 64 TiB. */
const WINDOWS_MAX = 32

export interface ClusterMap {
  readonly windows: number
  /** Forgets all clusters and records those of this window. */
  begin(window: number): void
  /** First cluster of the window, and the first after it. */
  range(): readonly [first: number, end: number]
  /** Records that one structure uses a cluster alone. Returns false if another one uses it. Clusters of other windows are ignored. */
  claim(cluster: number): boolean
  /** Records that compressed data uses a cluster, which it may share with other compressed data only. */
  share(cluster: number): boolean
  isUsed(cluster: number): boolean
  /** Returns whether any of the clusters is in use. Both bounds are multiples of 8. */
  isAnyUsed(first: number, end: number): boolean
}

/** Creates the map of a file with this many clusters; undefined if the file has more than all windows together. */
export function createClusterMap(clusters: number): ClusterMap | undefined {
  const windows = Math.max(1, Math.ceil(clusters / CLUSTERS_PER_WINDOW))
  if (windows > WINDOWS_MAX) return undefined
  const bytes = Math.ceil(Math.min(clusters, CLUSTERS_PER_WINDOW) / 8)
  const claimed = new Uint8Array(bytes)
  const shared = new Uint8Array(bytes)
  let first = 0
  const byteOf = (bits: Uint8Array, index: number): number => bits[index >>> 3] ?? 0
  const isSet = (bits: Uint8Array, index: number): boolean => (byteOf(bits, index) & (1 << (index & 7))) !== 0
  const set = (bits: Uint8Array, index: number): void => void (bits[index >>> 3] = byteOf(bits, index) | (1 << (index & 7)))
  const isOutside = (index: number): boolean => index < 0 || index >= bytes * 8
  return {
    windows,
    begin(window) {
      first = window * CLUSTERS_PER_WINDOW
      claimed.fill(0)
      shared.fill(0)
    },
    range: () => [first, Math.min(clusters, first + CLUSTERS_PER_WINDOW)],
    claim(cluster) {
      const index = cluster - first
      if (isOutside(index)) return true
      if (isSet(claimed, index) || isSet(shared, index)) return false
      set(claimed, index)
      return true
    },
    share(cluster) {
      const index = cluster - first
      if (isOutside(index)) return true
      set(shared, index)
      return !isSet(claimed, index)
    },
    isUsed(cluster) {
      const index = cluster - first
      return !isOutside(index) && (isSet(claimed, index) || isSet(shared, index))
    },
    isAnyUsed(from, end) {
      const last = Math.min((end - first) >>> 3, bytes)
      for (let byte = (from - first) >>> 3; byte < last; byte++) if ((byteOf(claimed, byte << 3) | byteOf(shared, byte << 3)) !== 0) return true
      return false
    },
  }
}
