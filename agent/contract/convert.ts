// Conversion of the content of an image into another format while it is sent or exported.

import type { ConversionTarget } from '../../protocol/images/export.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'

/** Consecutive bytes of a file: some bytes, or a run of zeros, which a file with holes does not store. */
export type Part = Uint8Array | { readonly zeros: number }

interface MeasuredConversion {
  /** Returns the most bytes that the file takes on a disk that stores holes. Reads the tables of the image. */
  measure(signal?: AbortSignal): Promise<number>
}

/** A file whose length is known and whose parts can be produced from any offset. */
export interface SeekableConversion extends MeasuredConversion {
  readonly kind: 'seekable'
  readonly length: number
  /** Yields the bytes [start, end) in order, in parts of bounded length. */
  parts(start: number, end: number, signal?: AbortSignal): AsyncGenerator<Part>
}

/** A file whose length is known only at its end, because its data is compressed. */
export interface SequentialConversion extends MeasuredConversion {
  readonly kind: 'sequential'
  /** Whether the last part was yielded. */
  readonly isDone: boolean
  /** Yields the parts that were not yielded yet. May be stopped, and called again to continue. */
  parts(signal?: AbortSignal): AsyncGenerator<Part>
}

export type Conversion = SeekableConversion | SequentialConversion

/** The form of a converted file; `asStored` is the file of the image itself. */
export type ConversionForm = ConversionTarget | 'asStored'

/** The content of an image. */
export interface ConvertedSource {
  readonly manifest: Manifest
  /** Reads the bytes [start, end); without it, the slices of the store are read. */
  readonly read?: (start: number, end: number, signal: AbortSignal) => AsyncGenerator<Uint8Array>
}

export interface ImageConverter {
  /**
   * Returns a text that changes when the bytes of a conversion change for the same image: with the manifest digest, it is a strong validator.
   */
  versionOf(target: ConversionTarget): string
  /**
   * Opens a conversion. The content must stay readable while it is used. Reads the headers, and for qcow2 the tables of the image,
   * because they decide the length. Throws ProblemError `invalid-input` when the target cannot hold a disk of this size, `limit-reached` for
   * tables that take too much memory, and `unsafe-image` for an image with damaged tables. Parts throw the latter too.
   */
  open(image: Pick<Image, 'name' | 'format' | 'manifestDigest'>, content: ConvertedSource, form: ConversionForm, signal?: AbortSignal): Promise<Conversion>
}
