// Messages between the unpack worker and the stream that it fills.

import type { Compression } from './compression.ts'

/** Most unpacked pieces that the caller has not taken yet: at most 1 MiB. */
export const UNTAKEN_MAX = 4

export type UnpackRequest =
  | { readonly kind: 'start'; readonly compression: Compression }
  | { readonly kind: 'piece'; readonly buffer: ArrayBuffer }
  /** All compressed bytes were sent. */
  | { readonly kind: 'end' }
  /** One unpacked piece was taken. */
  | { readonly kind: 'taken' }

export type UnpackReply =
  /** The worker needs the next compressed piece, or the end. */
  | { readonly kind: 'more' }
  | { readonly kind: 'unpacked'; readonly buffer: ArrayBuffer }
  | { readonly kind: 'done' }
  /** The compressed bytes are at fault. */
  | { readonly kind: 'fault'; readonly message: string }
  /** The worker is at fault. */
  | { readonly kind: 'failed'; readonly message: string }
