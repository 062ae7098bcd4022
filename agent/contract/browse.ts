// The files of the mount path as they are, for operators who want to see for themselves.

import type { FileEntry } from '../../protocol/file.ts'
import type { Page, PageQuery } from '../../protocol/page.ts'

/** An open file; its content may still change under the reader. */
export interface BrowsedFile extends AsyncDisposable {
  readonly name: string
  readonly length: number
  readonly modifiedMs: number
  /** Strong entity tag with its quotes: another one after every change of content or metadata. */
  readonly etag: string
  /** The bytes [start, end) in pieces of at most 1 MiB; throws when the file ends before. */
  read(start: number, end: number): AsyncGenerator<Uint8Array>
}

/** Paths are relative to the mount path, with `/` between the parts; empty is the mount path itself. Nothing outside can be reached. */
export interface FileBrowser {
  /**
   * Files and folders by name. A link shows what it leads to, and `other` when that is outside. Throws ProblemError `not-found`,
   * `outside-mount-path`, `invalid-input` for what is no folder, or `forbidden` for a folder of the mount path that is
   * among `withheld` and everything in it, also where a link leads to it.
   */
  list(path: string, page: PageQuery & { readonly withheld?: readonly string[] }): Promise<Page<FileEntry>>
  /** Opens a regular file; throws ProblemError `not-found`, `outside-mount-path`, or `invalid-input` for what is no file. */
  open(path: string): Promise<BrowsedFile>
}
