// Messages between stat-all.ts and its worker.

import type { FileStat } from '../contract/disk.ts'

/** Paths that are joined by zero bytes, which no path has: one text is passed to a thread in less time than many. */
export interface StatRequest {
  readonly paths: string
}

/** For each path NUMBERS_PER_FILE numbers: the code of its kind (0 if it is missing), length, time of modification, inode, and time of change. */
export type StatReply =
  | { readonly kind: 'states'; readonly states: Float64Array<ArrayBuffer> }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }

export const NUMBERS_PER_FILE = 5
/** Kinds of files by their codes. */
export const FILE_KINDS: readonly (FileStat['kind'] | undefined)[] = [undefined, 'file', 'folder', 'link', 'other']
