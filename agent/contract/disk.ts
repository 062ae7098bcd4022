// Disk: the interface through which capabilities use a file system, so that a test can fail the n-th operation.
// Nothing is durable before the call that makes it durable resolves.

/** Length in bytes and kind of a path; links are not followed. */
export interface FileStat {
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  readonly length: number
  readonly modifiedMs: number
  /** Number of the file within its file system, and time of its last change of any kind (ctime): undefined where the disk does not tell. */
  readonly inode?: number
  readonly changedMs?: number
}

/** Returns what `stat` of a disk returns for each path, in their order. Cheaper for thousands of them. */
export type StatAll = (paths: readonly string[]) => Promise<(FileStat | undefined)[]>

/** An open file. Reads and writes are positional and complete: a short write is retried or throws. */
export interface DiskFile extends AsyncDisposable {
  /** Fills `into` from the file at `position`; returns the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** Writes all parts in order, starting at `position`. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  /** Contents and length are on stable storage when it resolves (fdatasync). */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  length(): Promise<number>
  close(): Promise<void>
}

/** Bytes of the file system of a path. `free` is what an unprivileged process may still use. */
export interface DiskSpace {
  readonly totalBytes: number
  readonly freeBytes: number
}

/** Errors are Node's, with `code` (ENOSPC, EIO, EROFS, ENOENT …). Paths are absolute. */
export interface Disk {
  /** Opens a file for reading; throws ENOENT when it does not exist. */
  openRead(path: string): Promise<DiskFile>
  /** Opens a file for reading and writing; `create` creates it and throws EEXIST when it exists. */
  openWrite(path: string, mode: 'create' | 'existing'): Promise<DiskFile>
  /** Reads a whole small file; throws RangeError when it is longer than `lengthMax`. */
  readFile(path: string, lengthMax: number): Promise<Uint8Array<ArrayBuffer>>
  /** Replaces a file as a whole: temporary file in the same folder, fdatasync, rename, fsync of the folder. */
  writeFileAtomic(path: string, bytes: Uint8Array | string): Promise<void>
  /** Renames within one file system, then fsyncs both parent folders. */
  rename(from: string, to: string): Promise<void>
  /** Removes a file, then fsyncs its folder. A missing file is not an error. */
  remove(path: string): Promise<void>
  /** Removes a folder with its contents, then fsyncs its parent. A missing folder is not an error. */
  removeTree(path: string): Promise<void>
  /** Creates a folder and its missing parents, each fsynced into its own parent. */
  makeFolder(path: string): Promise<void>
  /** Returns the names in a folder, unsorted; an empty list when it does not exist. */
  list(path: string): Promise<string[]>
  stat(path: string): Promise<FileStat | undefined>
  syncFolder(path: string): Promise<void>
  space(path: string): Promise<DiskSpace>
}
