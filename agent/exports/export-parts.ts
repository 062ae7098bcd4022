// What the steps of an export share: the records in memory and on the mount path, the rule of one export for each image, and the promised space.

import type { Image } from '../../protocol/images/image.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import { formatSize } from '../../protocol/units.ts'
import type { Conversion, ImageConverter } from '../contract/convert.ts'
import type { Disk } from '../contract/disk.ts'
import type { InOrderByKey } from '../contract/in-order.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { Space } from '../contract/space.ts'
import type { EmitEvent, Tasks } from '../contract/work.ts'
import type { ExportRecord, RecordFiles } from './record-files.ts'

export interface ExportsDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** The mount path. */
  readonly mount: string
  readonly images: {
    find(id: string): Image | undefined
    open(id: string): Promise<Disposable & { readonly manifest: Manifest }>
  }
  readonly converter: ImageConverter
  readonly space: Pick<Space, 'promise' | 'state'>
  readonly tasks: Pick<Tasks, 'register' | 'start' | 'get'>
}

/** The parts that the steps of an export share. */
export interface Parts extends ExportsDeps {
  readonly files: RecordFiles
  readonly table: Map<string, ExportRecord>
  /** Writes of one record follow each other. */
  readonly saves: InOrderByKey
}

/** Throws ProblemError `already-exported` while an image has an export. */
export function requireNone({ table }: Parts, image: string): void {
  const existing = table.values().find((record) => record.image === image)
  if (!existing) return
  const list = `/v1/exports?image=${encodeURIComponent(image)}`
  const done = existing.stage === 'ready' ? `was exported as exports/${existing.name}` : 'is being exported'
  throw problem(
    'already-exported',
    `Image ${existing.imageName} ${done}.`,
    { action: `Use the export, or delete it first: image exports lists it (${list}).`, export: existing.id, exports: list },
    { headers: { Link: `<${list}>; rel="related"` } },
  )
}

/** Promises the space of the file. Throws ProblemError `insufficient-storage`. */
export async function reserve({ space }: Parts, { id, imageName }: ExportRecord, conversion: Conversion, signal: AbortSignal | undefined): Promise<number> {
  const bytes = await conversion.measure(signal)
  if (await space.promise(promiseKey(id), bytes)) return bytes
  const { availableBytes } = await space.state()
  throw problem('insufficient-storage', spaceLacking(imageName, bytes, availableBytes), {
    action: 'Delete exports or images for good, run store cleanup, or download the content instead: it takes no space on the store.',
  })
}

/** Says that a file does not fit. */
export function spaceLacking(imageName: string, bytes: number, availableBytes: number): string {
  return `The export of ${imageName} takes up to ${formatSize(bytes)}, and ${formatSize(availableBytes)} are free above the reserve.`
}

/** Removes an unfinished export, so that the image can be exported again. */
export async function discard(parts: Parts, id: string): Promise<void> {
  const { disk, files, table, space, log, saves } = parts
  const record = table.get(id)
  await space.promise(promiseKey(id), 0)
  try {
    if (record?.stage === 'placing') {
      const [found, part] = [await disk.stat(files.filePath(record.name)), await disk.stat(files.partPath(id))]
      // The empty file that holds the name, or the complete one, if only the sync after its renaming failed.
      const ownLength = part ? 0 : record.length
      if (found?.kind === 'file' && found.length === ownLength) await disk.remove(files.filePath(record.name))
    }
    await disk.remove(files.partPath(id))
    await saves.run(id, () => files.remove(id))
  } catch (error) {
    // The next start removes it.
    log.warn('what was left of an export could not be removed', { export: id, error })
  }
  table.delete(id)
}

export async function save({ files, table, saves }: Parts, record: ExportRecord): Promise<void> {
  table.set(record.id, record)
  try {
    await saves.run(record.id, () => files.save(record))
  } catch (error) {
    table.delete(record.id)
    throw error
  }
}

/** Changes members of a record; durable when it resolves. Throws ProblemError `not-found` when it was removed meanwhile. */
export function change({ files, table, saves }: Parts, id: string, members: Partial<ExportRecord>): Promise<ExportRecord> {
  return saves.run(id, async () => {
    const record = table.get(id)
    if (!record) throw problem('not-found', `The export ${id} was deleted.`)
    const changed = { ...record, ...members }
    await files.save(changed)
    table.set(id, changed)
    return changed
  })
}

/** Returns the key under which the space of an export is promised. */
export function promiseKey(id: string): string {
  return `export ${id}`
}
