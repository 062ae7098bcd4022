// upload.json: what an upload was told when it was created and how it ended. Replaced as a whole, never changed in place.

import { join } from 'node:path'
import { z } from 'zod'
import { imageDraftSchema } from '../../../protocol/image.ts'
import type { Disk } from '../../contract/disk.ts'

export const UPLOAD_FILE_FORMAT = 2
/** Longest upload.json that is read, in bytes: the header block of a request is bounded at 16 KiB. */
const UPLOAD_FILE_BYTES_MAX = 256 * 1024

const uploadFileSchema = z.object({
  /** Format 1 had no `creatorTokenId`. */
  format: z.union([z.literal(1), z.literal(2)]).transform(() => UPLOAD_FILE_FORMAT),
  id: z.string(),
  /** Name of the actor who created it, for people. */
  creator: z.string(),
  /**
   * Id of the token that created it, or that made the link it was created with. Null in files of format 1, which named the creator only:
   * names are not unique, so those uploads belong to nobody, and operators and admins finish or delete them.
   */
  creatorTokenId: z.string().nullable().default(null),
  /** The signed link that created it, which may touch no other upload. */
  linkId: z.string().nullable(),
  createdAtMs: z.number(),
  /** Length of the whole in bytes; null while it is deferred. */
  length: z.int().min(0).nullable(),
  /** `Upload-Metadata` as the client sent it; null when there was none. */
  metadata: z.string().nullable(),
  /** `Upload-Concat` as the client sent it; null for an ordinary upload. */
  concat: z.string().nullable(),
  kind: z.enum(['whole', 'partial', 'final']),
  /** Chosen at creation, so that publishing twice is publishing once; null for a partial upload. */
  imageId: z.string().nullable(),
  /** What the image will be told; null for a partial upload. */
  draft: imageDraftSchema.nullable(),
  filename: z.string().nullable(),
  device: z.string().nullable(),
  /** When its image was published; null before. */
  publishedAtMs: z.number().nullable(),
})

export type UploadFile = z.infer<typeof uploadFileSchema>

/** Path of an upload's folder. */
export function uploadFolder(folder: string, id: string): string {
  return join(folder, id)
}

/** Path of an upload's journal. */
export function journalPath(folder: string, id: string): string {
  return join(folder, id, 'journal')
}

/** Writes upload.json; durable when it resolves. */
export async function writeUploadFile(disk: Disk, folder: string, file: UploadFile): Promise<void> {
  await disk.writeFileAtomic(join(folder, file.id, 'upload.json'), JSON.stringify(file, undefined, 2))
}

/** Reads upload.json; undefined when there is none. Throws when it cannot be read or is not valid. */
export async function readUploadFile(disk: Disk, folder: string, id: string): Promise<UploadFile | undefined> {
  const path = join(folder, id, 'upload.json')
  if (!(await disk.stat(path))) return undefined
  const text = new TextDecoder().decode(await disk.readFile(path, UPLOAD_FILE_BYTES_MAX))
  const parsed = uploadFileSchema.safeParse(JSON.parse(text))
  if (!parsed.success) throw new Error(`${path} is not valid: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** Removes an upload: upload.json first, so that a folder half removed is never taken for an upload with less in it. */
export async function removeUploadFolder(disk: Disk, folder: string, id: string): Promise<void> {
  await disk.remove(join(folder, id, 'upload.json'))
  await disk.removeTree(join(folder, id))
}
