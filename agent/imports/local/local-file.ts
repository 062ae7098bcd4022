// Opens a file of this node for an import. Every part of the path is opened below the part before it without following links, so that
// neither the path nor a folder in it can be replaced by a link between check and use.

import { constants } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../../protocol/errors.ts'
import type { FileIdentity } from '../source.ts'

/** open(2): a descriptor that only names a file. It needs no right to read, wakes no device, and never waits for the writer of a FIFO. */
const O_PATH = 0o10000000
/** Bytes of one read. */
const PIECE_BYTES = 1024 * 1024

/** An open regular file. */
export interface LocalFile extends AsyncDisposable {
  readonly identity: FileIdentity
  /** Returns the bytes from an offset up to the length at opening. Throws FileShortened when the file ends before. */
  read(offset: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void>
  /** Whether the open file still has its identity. */
  isUnchanged(): Promise<boolean>
}

/** Why a path cannot be opened. */
export type OpenRefusal = 'missing' | 'link' | 'not-a-file' | 'other-device' | 'no-access'

export type LocalOpening = { readonly kind: 'file'; readonly file: LocalFile } | { readonly kind: 'refused'; readonly why: OpenRefusal }

/** A file ended before the length that it had when it was opened. */
export class FileShortened extends Error {
  override readonly name = 'FileShortened'
}

/**
 * Opens a regular file below a root folder. `root` is absolute, without links; `parts` are names, never `..`. The file must be on the file
 * system of the root. Throws for errors of the disk.
 */
export async function openLocalFile(root: string, parts: readonly string[]): Promise<LocalOpening> {
  const folders = root.split('/').filter((part) => part !== '')
  let at: FileHandle | undefined
  try {
    at = await open('/', O_PATH | constants.O_DIRECTORY)
    for (const part of folders) at = await openNext(at, part, constants.O_DIRECTORY)
    const { dev } = await at.stat({ bigint: true })
    for (const [index, part] of parts.entries()) at = await openNext(at, part, index < parts.length - 1 ? constants.O_DIRECTORY : 0)
    return await readable(at, dev)
  } catch (error) {
    const why = REFUSALS[errorCode(error) ?? '']
    if (why === undefined) throw error
    return { kind: 'refused', why }
  } finally {
    await at?.close()
  }
}

/** Returns whether two identities are the same. */
export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.length === b.length && a.modifiedNs === b.modifiedNs
}

/** Returns the identity in what stat(2) returned. */
export function identityOf({ ino, size, mtimeNs }: BigIntStats): FileIdentity {
  return { inode: String(ino), length: Number(size), modifiedNs: String(mtimeNs) }
}

const REFUSALS: Readonly<Record<string, OpenRefusal>> = {
  ENOENT: 'missing',
  ENAMETOOLONG: 'missing',
  ENOTDIR: 'missing',
  ELOOP: 'link',
  EACCES: 'no-access',
  EPERM: 'no-access',
}

/** Opens a name below an open folder, without following a link, and closes the folder. */
async function openNext(folder: FileHandle, part: string, flags: number): Promise<FileHandle> {
  try {
    // openat(2) through proc(5): Node has no function for it.
    const next = await open(join(descriptorPath(folder), part), O_PATH | constants.O_NOFOLLOW | flags)
    await folder.close()
    return next
  } catch (error) {
    // O_DIRECTORY reports a link as ENOTDIR.
    if (errorCode(error) === 'ENOTDIR' && (await isLink(folder, part))) throw Object.assign(new Error('a link'), { code: 'ELOOP' })
    throw error
  }
}

async function isLink(folder: FileHandle, part: string): Promise<boolean> {
  const named = await open(join(descriptorPath(folder), part), O_PATH | constants.O_NOFOLLOW).catch(() => undefined)
  try {
    return (await named?.stat())?.isSymbolicLink() ?? false
  } finally {
    await named?.close()
  }
}

/** Opens what a descriptor names for reading, if it is a regular file of this device. */
async function readable(named: FileHandle, device: bigint): Promise<LocalOpening> {
  const found = await named.stat({ bigint: true })
  if (found.isSymbolicLink()) return { kind: 'refused', why: 'link' }
  if (!found.isFile()) return { kind: 'refused', why: 'not-a-file' }
  if (found.dev !== device) return { kind: 'refused', why: 'other-device' }
  const file = await open(descriptorPath(named), constants.O_RDONLY)
  const identity = identityOf(found)
  return {
    kind: 'file',
    file: {
      identity,
      read: (offset) => readPieces(file, offset, identity.length),
      isUnchanged: async () => isSameFile(identityOf(await file.stat({ bigint: true })), identity),
      [Symbol.asyncDispose]: () => file.close(),
    },
  }
}

/** Reads one piece ahead, so that the disk works while the caller does. */
async function* readPieces(file: FileHandle, offset: number, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let ahead: Promise<Uint8Array<ArrayBuffer>> | undefined = readPiece(file, offset, length)
  try {
    for (let at = offset; at < length;) {
      const piece: Uint8Array<ArrayBuffer> = await (ahead ?? readPiece(file, at, length))
      at += piece.byteLength
      ahead = at < length ? readPiece(file, at, length) : undefined
      // Handled here, because nobody awaits it when the caller stops early.
      ahead?.catch(() => {})
      yield piece
    }
  } finally {
    // The file must not be closed while a read is in progress.
    await ahead?.catch(() => {})
  }
}

async function readPiece(file: FileHandle, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(Math.max(0, Math.min(PIECE_BYTES, length - at)))
  if (piece.byteLength === 0) return piece
  const { bytesRead } = await file.read(piece, 0, piece.byteLength, at)
  if (bytesRead === 0) throw new FileShortened(`the file ended at ${at} bytes instead of ${length}`)
  return bytesRead === piece.byteLength ? piece : new Uint8Array(piece.subarray(0, bytesRead))
}

function descriptorPath({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`
}
