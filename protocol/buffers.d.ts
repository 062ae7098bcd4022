// Marks methods of the platform's byte types that return views although they look like copies, so that the lint reports them (docs/decisions/0008).

interface Uint8Array<TArrayBuffer extends ArrayBufferLike> {
  /** @deprecated A Buffer is a Uint8Array too, and its `slice` is a view. For a copy: `new Uint8Array(bytes.subarray(from, to))`. */
  slice(start?: number, end?: number): Uint8Array<ArrayBuffer>
}
