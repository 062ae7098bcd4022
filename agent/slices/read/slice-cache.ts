// Cache of uncompressed slices for readers of small ranges: the least recently used go first.

/** Bytes of slices that are cached. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024

export interface SliceCache {
  get(key: string): Uint8Array | undefined
  add(key: string, bytes: Uint8Array): void
}

/** Creates an empty cache; keys are slice keys. */
export function createSliceCache(): SliceCache {
  const slices = new Map<string, Uint8Array>()
  let total = 0
  return {
    get(key) {
      const bytes = slices.get(key)
      if (bytes) {
        slices.delete(key)
        slices.set(key, bytes)
      }
      return bytes
    },
    add(key, bytes) {
      if (slices.has(key)) return
      // The bytes of an uncompressed slice are part of a larger read buffer: a copy frees the rest of it.
      const own = bytes.byteLength < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes
      slices.set(key, own)
      total += own.byteLength
      for (const [oldest, old] of slices) {
        if (total <= CACHE_BYTES_MAX) return
        slices.delete(oldest)
        total -= old.byteLength
      }
    },
  }
}
