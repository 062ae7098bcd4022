// Reads the log of a recorded disk (log-disk.c).

/** One change of the disk. */
export interface LogEntry {
  readonly kind: 'write' | 'zero' | 'flush'
  /** Position on the disk in bytes; 0 for a flush. */
  readonly offset: number
  readonly length: number
  /** Position of the written bytes in the log. */
  readonly bytesAt: number
  /** Position in the log after this entry. */
  readonly end: number
}

export interface WriteLog {
  readonly bytes: Uint8Array
  readonly entries: readonly LogEntry[]
}

const HEAD_BYTES = 24
const KINDS: Readonly<Record<string, LogEntry['kind']>> = { W: 'write', Z: 'zero', F: 'flush' }

/** Maps a log to which nothing is written any more. */
export function openWriteLog(path: string): WriteLog {
  return parseWriteLog(Bun.mmap(path))
}

/** Parses a log. Throws when it is truncated or damaged, because a state built from it would prove nothing. */
export function parseWriteLog(bytes: Uint8Array): WriteLog {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: LogEntry[] = []
  for (let at = 0; at < bytes.byteLength;) {
    const kind = KINDS[String.fromCharCode(Number(view.getBigUint64(at, true)))]
    if (kind === undefined) throw new Error(`the log has no entry at ${at}`)
    const offset = Number(view.getBigUint64(at + 8, true))
    const length = Number(view.getBigUint64(at + 16, true))
    const bytesAt = at + HEAD_BYTES
    at = bytesAt + (kind === 'write' ? length : 0)
    if (at > bytes.byteLength) throw new Error(`the log ends within an entry of ${length} bytes`)
    entries.push({ kind, offset, length, bytesAt, end: at })
  }
  return { bytes, entries }
}
