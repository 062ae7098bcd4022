// Reads a file of an SFTP server with several requests in progress, so that a long line stays full.

import type { SFTPWrapper, Stats } from 'ssh2'
import { problem } from '../../../protocol/problems.ts'

/** Bytes of one request. Servers may answer with fewer. */
const READ_BYTES = 64 * 1024
/** Requests in progress: with READ_BYTES, the most that is held in memory and in flight. */
const READS_MAX = 32

/** An open handle of the server, and what the server says about the file. */
export interface SftpHandle {
  readonly sftp: SFTPWrapper
  readonly handle: Buffer
  readonly stats: Stats
}

/** Opens a file for reading. Rejects with the error of the server. */
export async function openHandle(sftp: SFTPWrapper, path: string): Promise<SftpHandle> {
  const handle = await called<Buffer>((done) => sftp.open(path, 'r', done))
  return { sftp, handle, stats: await called<Stats>((done) => sftp.fstat(handle, done)) }
}

/** Returns the bytes of a file from an offset to its length. Throws `source-changed` when the file ends before, and the errors of the server. */
export async function* readHandle({ sftp, handle }: SftpHandle, offset: number, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const reads: Promise<Uint8Array<ArrayBuffer>>[] = []
  let next = offset
  for (let at = offset; at < length;) {
    while (next < length && reads.length < READS_MAX) {
      const read = readFully({ sftp, handle }, next, Math.min(READ_BYTES, length - next))
      // Handled where it is awaited; a read that nobody awaits any more must not end the process.
      read.catch(() => {})
      reads.push(read)
      next += READ_BYTES
    }
    const piece = await (reads.shift() ?? Promise.reject(new Error('no read in progress')))
    at += piece.byteLength
    yield piece
  }
}

async function readFully({ sftp, handle }: Pick<SftpHandle, 'sftp' | 'handle'>, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = Buffer.alloc(length)
  for (let filled = 0; filled < length;) {
    const count = await called<number>((done) => sftp.read(handle, bytes, filled, length - filled, position + filled, done))
    if (count === 0) throw problem('source-changed', `The file ends at ${position + filled} bytes; the server said that it is longer.`)
    filled += count
  }
  return bytes
}

/** Returns the result of a function with a callback as a promise. */
export function called<T>(run: (done: (error: Error | undefined | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((error, result) => (error ? reject(error) : resolve(result)))
  })
}
