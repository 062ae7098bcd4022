// Commits the bytes of an upload: opens ingests that continue where its journal ends, and appends their checkpoints to the journal.

import type { Checkpoint } from '../contract/slices.ts'
import type { UploadsContext } from './context.ts'
import { ENTRY_BYTES, joinEntries, packEntries } from './record/journal-codec.ts'
import { adjustSpace, refuseTooManyEntries, renewSpace } from './limits/limits.ts'
import type { UploadCommits } from './body/body-intake.ts'
import type { Upload } from './record/upload.ts'

type UploadCommitsDeps = Pick<UploadsContext, 'slices' | 'clock' | 'space' | 'crashPoint' | 'entriesMax' | 'ownSlices'>

/** Creates the commits of an upload. The caller holds the upload's lock. */
export function createUploadCommits(deps: UploadCommitsDeps, upload: Upload): UploadCommits {
  const append = async (checkpoints: readonly Checkpoint[], tail: Uint8Array): Promise<void> => {
    const entries = joinEntries(checkpoints.map((checkpoint) => packEntries(checkpoint.entries)))
    const entryCount = upload.journal.entryCount + entries.byteLength / ENTRY_BYTES
    if (entryCount > deps.entriesMax) throw refuseTooManyEntries(entryCount, deps.entriesMax)
    await upload.journal.append({ entries, tail, timeMs: deps.clock.nowMs() })
    deps.ownSlices.committed(upload, entries)
  }
  const commitAll = async (checkpoints: readonly Checkpoint[], tail: Uint8Array): Promise<void> => {
    deps.crashPoint('uploads:before-journal')
    await append(checkpoints, tail)
    deps.crashPoint('uploads:after-journal')
  }
  return {
    get tailLength() {
      return upload.journal.tailLength
    },

    async openIngest() {
      const { journal } = upload
      return deps.slices.ingest({ offset: journal.covered, tail: await journal.readTail() })
    },

    async commit(checkpoints) {
      const tail = checkpoints.at(-1)?.tail
      if (!tail) return
      const { journal } = upload
      const isNothingNew = tail.byteLength === journal.tailLength && checkpoints.every(({ entries }) => entries.length === 0)
      try {
        if (!isNothingNew) await commitAll(checkpoints, tail)
      } finally {
        // Also after a failure: if the record reached the disk, it keeps its slices alive; if not, nothing needs them.
        for (const checkpoint of checkpoints) checkpoint.release()
      }
      await adjustSpace(deps.space, upload)
    },

    async commitTail(bytes) {
      const before = await upload.journal.readTail()
      const tail = new Uint8Array(before.byteLength + bytes.byteLength)
      tail.set(before)
      tail.set(bytes, before.byteLength)
      await commitAll([], tail)
      await adjustSpace(deps.space, upload)
    },

    renewSpace: () => renewSpace(deps.space, upload),

    closeFiles: () => upload.journal.close(),
  }
}

/** Commits the present time and nothing else, which renews the expiry. The caller holds the upload's lock. */
export async function commitTime({ clock }: Pick<UploadCommitsDeps, 'clock'>, { journal }: Upload): Promise<void> {
  await journal.append({ entries: joinEntries([]), tail: await journal.readTail(), timeMs: clock.nowMs() })
  await journal.close()
}
