// The task of an export: writes the file, gives it its name, and marks the export as ready.

import { hasCode } from '../../protocol/errors.ts'
import type { ExportResult } from '../../protocol/images/export.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatSize } from '../../protocol/units.ts'
import type { TaskContext } from '../contract/work.ts'
import { change, discard, promiseKey, requireNone, reserve, save } from './export-parts.ts'
import type { Parts } from './export-parts.ts'
import { numberedName } from './file-name.ts'
import type { ExportRecord } from './record-files.ts'
import { writeFile } from './write-file.ts'

/** Names that are tried for one file. */
const NAMES_MAX = 1000

/** The task. A retry after a failure begins with a new record, and a run after a crash with the part removed. */
export async function runExport(parts: Parts, given: ExportRecord, context: TaskContext): Promise<ExportResult> {
  const { table, space } = parts
  const { id } = given
  const present = table.get(id)
  if (present?.stage === 'ready') return resultOf(present)
  if (!present) {
    requireNone(parts, given.image)
    await save(parts, { ...given, task: context.taskId })
  }
  try {
    const length = await writePart(parts, given, context)
    await place(parts, id, length)
    return resultOf(await finish(parts, id))
  } catch (error) {
    // After a clean stop of the agent, the task runs again, and the image stays taken until then.
    if (!isStopping(context.signal)) await discard(parts, id)
    throw error
  } finally {
    await space.promise(promiseKey(id), 0)
  }
}

async function writePart(parts: Parts, { id, image: imageId, as }: ExportRecord, { signal, progress }: TaskContext): Promise<number> {
  const { disk, files, images, converter, space, crashPoint } = parts
  const image = images.find(imageId)
  if (!image) throw problem('not-found', `Image ${imageId} was deleted before it was exported.`)
  using content = await images.open(imageId)
  const conversion = await converter.open(image, content, as ?? 'asStored', signal)
  const record = parts.table.get(id)
  if (!record) throw problem('not-found', `The export ${id} was deleted.`)
  const reserved = await reserve(parts, record, conversion, signal)
  const total = conversion.kind === 'seekable' ? conversion.length : null
  const path = files.partPath(id)
  await disk.remove(path)
  progress(0, total, 'bytes')
  const length = await writeFile(disk, {
    conversion,
    path,
    signal,
    async onSynced(offset, writtenBytes) {
      progress(offset, total, 'bytes')
      // What was written is no longer free, so it must not stay promised too.
      await space.promise(promiseKey(id), Math.max(0, reserved - writtenBytes))
    },
  })
  crashPoint('exports:written')
  return length
}

/** Renames the complete part to the first name that is free. Never replaces a file that was there. */
async function place(parts: Parts, id: string, length: number): Promise<void> {
  const { disk, files, table, crashPoint } = parts
  const wanted = table.get(id)?.name ?? id
  for (let n = 1; n <= NAMES_MAX; n++) {
    const name = numberedName(wanted, n)
    if (await disk.stat(files.filePath(name))) continue
    await change(parts, id, { stage: 'placing', name, length })
    try {
      const taken = await disk.openWrite(files.filePath(name), 'create')
      await taken.close()
    } catch (error) {
      if (hasCode(error, 'EEXIST')) continue
      throw error
    }
    crashPoint('exports:name-taken')
    await disk.rename(files.partPath(id), files.filePath(name))
    crashPoint('exports:renamed')
    return
  }
  throw problem('conflict', `${NAMES_MAX} files in exports/ have the name ${wanted}.`, { action: 'Remove some of them, or rename the image.' })
}

async function finish(parts: Parts, id: string): Promise<ExportRecord> {
  const { clock, emit, crashPoint } = parts
  const record = await change(parts, id, { stage: 'ready', readyAt: formatTime(clock.nowMs()) })
  crashPoint('exports:ready')
  const { imageName, name, length, image, createdBy } = record
  emit({
    type: 'export.ready',
    severity: 'info',
    subject: image,
    actor: createdBy,
    message: `Image ${imageName} was exported as exports/${name} (${formatSize(length ?? 0)}).`,
    details: { export: id },
  })
  return record
}

function resultOf({ id, name, length }: ExportRecord): ExportResult {
  return { exportId: id, name, path: `exports/${name}`, length: length ?? 0 }
}

/** Whether a task was stopped because the agent stops. */
function isStopping({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof ProblemError && reason.code === 'interrupted'
}
