// What the lint holds against the platform's types of bytes: views that look like copies (docs/decisions/0008).

interface Uint8Array<TArrayBuffer extends ArrayBufferLike> {
  /** @deprecated A Buffer is a Uint8Array too, and its `slice` is a view. For a copy: `new Uint8Array(bytes.subarray(from, to))`. */
  slice(start?: number, end?: number): Uint8Array<ArrayBuffer>
}
