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

/** Paths are relative to the mount path, with `/` between the parts; the empty path is the mount path itself. No path leads out of it. */
export interface FileBrowser {
  /**
   * Returns a page of the entries of a folder, sorted by name. A link is listed as its target, or as `other` when the target is outside the mount
   * path. Throws ProblemError `not-found`, also for a path that is not a folder; `outside-mount-path`; `invalid-input` for a path that is too
   * long; `limit-reached` for a folder with too many entries; or `forbidden` for a folder in `withheld` and everything below it, even if the path
   * leads there through a link.
   */
  list(path: string, page: PageQuery & { readonly withheld?: readonly string[] }): Promise<Page<FileEntry>>
  /** Opens a regular file. Throws ProblemError `not-found`, also for a path that is not a file; `outside-mount-path`; or `invalid-input`. */
  open(path: string): Promise<BrowsedFile>
}
