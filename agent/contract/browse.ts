// Read-only access to the files of the mount path, for operators.

import type { FileEntry } from '../../protocol/file.ts'
import type { Page, PageQuery } from '../../protocol/page.ts'

/** An open file. Its content may change while it is read. */
export interface BrowsedFile extends AsyncDisposable {
  readonly name: string
  readonly length: number
  readonly modifiedMs: number
  /** Strong entity tag with its quotes. It changes with the content or the metadata. */
  readonly etag: string
  /** Yields the bytes [start, end) in pieces of at most 1 MiB. Throws when the file ends before `end`. */
  read(start: number, end: number): AsyncGenerator<Uint8Array>
}

/** What a caller may list; without members, everything. */
export interface FileView {
  /** Folders of the mount path that are refused. */
  readonly withheld?: readonly string[]
  /** Whether the entry at a path exists for the caller. The path is resolved and split into its parts. */
  readonly isSeen?: (parts: readonly string[]) => boolean
}

/** Paths are relative to the mount path, with `/` between the parts; the empty path is the mount path itself. No path leads out of it. */
export interface FileBrowser {
  /**
   * Returns a page of the entries of a folder, sorted by name. A link is listed as its target, or as `other` when the target is outside the mount
   * path. Throws ProblemError `not-found`, also for a path that is not a folder; `outside-mount-path`; `invalid-input` for a path that is too
   * long; `limit-reached` for a folder with too many entries; or `forbidden` for a folder in `withheld` and everything below it, even if the path
   * leads there through a link. An entry for whose path `isSeen` is false looks as if it did not exist.
   */
  list(path: string, page: PageQuery & FileView): Promise<Page<FileEntry>>
  /** Opens a regular file. Throws ProblemError `not-found`, also for a path that is not a file; `outside-mount-path`; or `invalid-input`. */
  open(path: string): Promise<BrowsedFile>
}
