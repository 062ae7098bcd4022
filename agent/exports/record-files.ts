// Records of exports: exports/.slipway/<id>.json on the mount path, so that they move with the store, and <id>.part, the file while it is written.

import { join } from 'node:path'
import { z } from 'zod'
import { errorText } from '../../protocol/errors.ts'
import { conversionTargetSchema } from '../../protocol/images/export.ts'
import { isId } from '../../protocol/ids.ts'
import { timeSchema } from '../../protocol/time.ts'
import type { Disk } from '../contract/disk.ts'
import type { Log } from '../contract/runtime.ts'

/** Longest record in bytes: two names of 255 characters and short members. */
const RECORD_BYTES_MAX = 16 * 1024
const SUFFIX = '.json'
const PART_SUFFIX = '.part'

/**
 * What is known of an export. `placing`: the file is complete and is being renamed to its name. `name` is final from then on, and so is `length`.
 */
export const recordSchema = z.object({
  format: z.literal(1),
  id: z.string().refine((id) => isId('exp', id), 'is not the id of an export'),
  image: z.string(),
  imageName: z.string(),
  as: conversionTargetSchema.nullable(),
  stage: z.enum(['writing', 'placing', 'ready', 'deleting']),
  name: z.string().regex(/^[^./\u0000][^/\u0000]*$/, 'is not the name of a file'),
  length: z.int().min(0).nullable(),
  task: z.string().nullable(),
  createdBy: z.string(),
  createdAt: timeSchema,
  readyAt: timeSchema.nullable(),
})
export type ExportRecord = z.infer<typeof recordSchema>

export interface RecordFiles {
  /** Returns the path of a file in exports/. */
  filePath(name: string): string
  /** Returns the path of the file of an export while it is written. */
  partPath(id: string): string
  save(record: ExportRecord): Promise<void>
  remove(id: string): Promise<void>
  /** Reads all records, and removes everything else from the folder of records. */
  load(): Promise<{ readonly records: ExportRecord[]; readonly parts: ReadonlySet<string> }>
}

/** Creates the access to the records of a store. */
export function createRecordFiles({ disk, log, mount }: { readonly disk: Disk; readonly log: Log; readonly mount: string }): RecordFiles {
  const exportsFolder = join(mount, 'exports')
  const folder = join(exportsFolder, '.slipway')
  const pathOf = (id: string): string => join(folder, id + SUFFIX)

  const read = async (name: string): Promise<ExportRecord | undefined> => {
    try {
      return recordSchema.parse(JSON.parse(new TextDecoder().decode(await disk.readFile(join(folder, name), RECORD_BYTES_MAX))))
    } catch (error) {
      if (!(error instanceof z.ZodError || error instanceof SyntaxError || error instanceof RangeError)) throw error
      // The file in exports/ stays. Its image can be exported again.
      const kept = join(mount, 'quarantine', `export.${name}`)
      log.error('the record of an export is damaged and was moved to quarantine', { name, error: errorText(error) })
      await disk.rename(join(folder, name), kept)
      return undefined
    }
  }
  return {
    filePath: (name) => join(exportsFolder, name),
    partPath: (id) => join(folder, id + PART_SUFFIX),
    save: (record) => disk.writeFileAtomic(pathOf(record.id), `${JSON.stringify(record)}\n`),
    remove: (id) => disk.remove(pathOf(id)),
    async load() {
      await disk.makeFolder(folder)
      const records: ExportRecord[] = []
      const parts = new Set<string>()
      for (const name of await disk.list(folder)) {
        const id = name.replace(/\.[a-z]+$/, '')
        if (!isId('exp', id)) await disk.remove(join(folder, name))
        else if (name.endsWith(PART_SUFFIX)) parts.add(id)
        else if (name.endsWith(SUFFIX)) {
          const record = await read(name)
          if (record?.id === id) records.push(record)
        }
      }
      return { records, parts }
    },
  }
}
