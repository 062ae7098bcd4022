// Brings the records of exports and the files on the mount path into agreement at start. A crash may have interrupted each step of writing and of
// deleting.

import { formatTime } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { ExportRecord, RecordFiles } from './record-files.ts'

export interface RecoverDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly files: RecordFiles
  /** Whether a task is queued or running, and will write the file again. */
  readonly isTaskActive: (taskId: string) => boolean
}

/** Returns the exports that remain: complete ones, and those whose task runs again from the beginning. Removes everything that was left of others. */
export async function recoverExports(deps: RecoverDeps): Promise<ExportRecord[]> {
  const { disk, log, files } = deps
  const { records, parts } = await files.load()
  const remaining: ExportRecord[] = []
  for (const record of records) {
    const found = await recoverOne(deps, record, parts.has(record.id))
    if (found) remaining.push(found)
    else log.info('what was left of an export was removed', { export: record.id, image: record.image })
  }
  const complete = new Set(remaining.filter(({ stage }) => stage === 'ready').map(({ id }) => id))
  for (const id of parts) if (!complete.has(id)) await disk.remove(files.partPath(id))
  return remaining
}

async function recoverOne(deps: RecoverDeps, record: ExportRecord, hasPart: boolean): Promise<ExportRecord | undefined> {
  const { disk, clock, files } = deps
  switch (record.stage) {
    case 'ready':
      return record
    case 'deleting':
      await removeExportedFile(disk, files, record)
      await files.remove(record.id)
      return undefined
    case 'placing': {
      const path = files.filePath(record.name)
      const found = await disk.stat(path)
      if (!hasPart && found?.kind === 'file' && found.length === record.length) {
        const ready: ExportRecord = { ...record, stage: 'ready', readyAt: formatTime(clock.nowMs()) }
        await files.save(ready)
        return ready
      }
      // The name was taken by an empty file, which the complete one was about to replace.
      if (hasPart && found?.kind === 'file' && found.length === 0) await disk.remove(path)
      return keptForTask(deps, record)
    }
    case 'writing':
      return keptForTask(deps, record)
  }
}

/** Returns an unfinished export if its task runs again; otherwise removes its record, so that the image can be exported. */
async function keptForTask({ files, isTaskActive }: RecoverDeps, record: ExportRecord): Promise<ExportRecord | undefined> {
  if (record.task !== null && isTaskActive(record.task)) return { ...record, stage: 'writing', length: null }
  await files.remove(record.id)
  return undefined
}

/** Removes the file of an export. A file of another length under its name belongs to somebody else and stays. */
export async function removeExportedFile(disk: Disk, files: RecordFiles, { name, length }: ExportRecord): Promise<boolean> {
  const found = await disk.stat(files.filePath(name))
  if (found?.kind !== 'file' || found.length !== length) return false
  await disk.remove(files.filePath(name))
  return true
}
