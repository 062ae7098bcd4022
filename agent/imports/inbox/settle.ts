// Decides when a file in the inbox is complete. Pure: it compares what one look at the folder found with what earlier looks found.

import type { InboxEntry } from '../local/inbox-folder.ts'
import { isSameFile } from '../local/local-file.ts'
import { judgeInboxName } from './inbox-names.ts'

/** What an earlier look found under a name, and since when it is the same. Times are monotonic, in milliseconds. */
interface Observed {
  readonly entry: InboxEntry
  readonly sinceMs: number
  /** The file had a temporary name before, so its writer has renamed it into place. */
  readonly isRenamed: boolean
}

/** The memory of the inbox between two looks. */
export interface Observations {
  /** Files whose name is not temporary. */
  readonly files: ReadonlyMap<string, Observed>
  /** `fileId` of the files with a temporary name. */
  readonly temporaries: ReadonlySet<string>
}

export const NOTHING_OBSERVED: Observations = { files: new Map(), temporaries: new Set() }

export interface InboxVerdict {
  readonly observations: Observations
  /** Files that are complete, as long as no process has them open for writing. */
  readonly complete: readonly InboxEntry[]
  /** Milliseconds until the next file can be complete; undefined when none waits. */
  readonly waitMs: number | undefined
}

/**
 * Compares a look with the earlier ones. A file is complete when it was renamed into place, or when size and time of writing have not changed
 * for `settleMs`. It was renamed into place when it had a temporary name before, or when its last change (ctime) came `settleMs` or more after
 * its last write (mtime): both are times of the same clock, that of the file system.
 */
export function judgeInbox(before: Observations, entries: readonly InboxEntry[], { nowMs, settleMs }: { nowMs: number; settleMs: number }): InboxVerdict {
  const files = new Map<string, Observed>()
  const temporaries = new Set<string>()
  const complete: InboxEntry[] = []
  let waitMs: number | undefined
  for (const entry of entries) {
    if (entry.kind !== 'file') continue
    if (judgeInboxName(entry.nameBytes).kind === 'temporary') {
      temporaries.add(entry.fileId)
      continue
    }
    const earlier = before.files.get(entry.key)
    const isSame = earlier !== undefined && isSameFile(earlier.entry.identity, entry.identity)
    const observed: Observed = {
      entry,
      sinceMs: isSame ? earlier.sinceMs : nowMs,
      isRenamed: before.temporaries.has(entry.fileId) || (isSame && earlier.isRenamed),
    }
    files.set(entry.key, observed)
    const leftMs = isInPlace(observed, settleMs) ? 0 : observed.sinceMs + settleMs - nowMs
    if (leftMs > 0) waitMs = Math.min(waitMs ?? leftMs, leftMs)
    else complete.push(entry)
  }
  return { observations: { files, temporaries }, complete, waitMs }
}

function isInPlace({ entry, isRenamed }: Observed, settleMs: number): boolean {
  return isRenamed || entry.changedNs - BigInt(entry.identity.modifiedNs) >= BigInt(settleMs) * 1_000_000n
}
