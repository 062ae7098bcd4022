// Looks for uploads whose record is damaged, and for uploads past their time.

import { join } from 'node:path'
import { problem } from '../../protocol/problems.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock } from '../contract/runtime.ts'
import { findingOf, RECONCILE_AGE_MS } from './finding.ts'
import type { FoundFinding } from './finding.ts'

/** The uploads of a store, as reconcile uses them. */
export interface ReconciledUploads {
  /** Ids of uploads whose upload.json or journal could not be read. */
  unreadable(): readonly string[]
  /** Moves the folder of an upload that still cannot be read to a path; returns false if it can be read by now or is gone. Durable when it resolves. */
  moveUnreadable(id: string, path: string): Promise<boolean>
  /** Removes expired uploads, only those with these ids if given, and returns their ids. A dry run removes nothing. */
  expire(options: { readonly dryRun?: boolean; readonly ids?: ReadonlySet<string> }): Promise<readonly string[]>
}

export interface UploadSearchDeps {
  readonly disk: Disk
  readonly clock: Pick<Clock, 'nowMs'>
  readonly mount: string
  readonly uploads: ReconciledUploads
}

export async function* findUploads({ disk, clock, mount, uploads }: UploadSearchDeps): AsyncGenerator<FoundFinding> {
  for (const id of uploads.unreadable()) {
    const target = join('uploads', id)
    const found = await disk.stat(join(mount, target))
    if (!found || clock.nowMs() - found.modifiedMs < RECONCILE_AGE_MS) continue
    const finding = findingOf({
      kind: 'brokenUpload',
      target: id,
      what: `The record of upload ${id} cannot be read. gc keeps its slices.`,
      bytes: null,
      sinceMs: found.modifiedMs,
      action: 'quarantine',
      effect: 'Moves the folder of the upload into quarantine/. The next cleanup frees bytes that only this upload has; the upload cannot be resumed.',
      essence: String(found.modifiedMs),
    })
    const name = `${finding.id}.${id}`
    const run = async (): Promise<string> => {
      await disk.makeFolder(join(mount, 'quarantine'))
      if (await uploads.moveUnreadable(id, join(mount, 'quarantine', name))) return `It was moved to quarantine/${name}.`
      throw problem('conflict', `Upload ${id} can be read again, or was removed.`, { action: 'Look for findings again.' })
    }
    yield { finding, run }
  }
  for (const id of await uploads.expire({ dryRun: true })) {
    const finding = findingOf({
      kind: 'expiredUpload',
      target: id,
      what: `Upload ${id} expired, or is the record of an image that is gone.`,
      bytes: null,
      sinceMs: null,
      action: 'remove',
      effect: 'Removes the upload. The next cleanup frees bytes that only this upload has.',
      essence: '',
    })
    const run = async (): Promise<string> => {
      if ((await uploads.expire({ ids: new Set([id]) })).includes(id)) return 'The upload was removed.'
      throw problem('conflict', `Upload ${id} was used or removed meanwhile.`, { action: 'Look for findings again.' })
    }
    yield { finding, run }
  }
}
