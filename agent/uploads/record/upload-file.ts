// upload.json: what an upload was created with, and how it ended. Replaced as a whole, never changed in place.

import { join } from 'node:path'
import { z } from 'zod'
import { imageDraftSchema, imageSourceSchema } from '../../../protocol/images/image.ts'
import type { Disk } from '../../contract/disk.ts'

export const UPLOAD_FILE_FORMAT = 2
/** Longest upload.json that is read, in bytes: the header block of a request is bounded at 16 KiB. */
const UPLOAD_FILE_BYTES_MAX = 256 * 1024

const uploadFileSchema = z.object({
  /** Format 1 had no `creatorTokenId`. */
  format: z.union([z.literal(1), z.literal(2)]).transform(() => UPLOAD_FILE_FORMAT),
  id: z.string(),
  /** Name of the actor that created it, for people. */
  creator: z.string(),
  /**
   * Id of the token that created it, or that created the link it came by. Null in files of format 1, which have the name only: names are not
   * unique, so these uploads have no owner, and only operators and admins can finish or delete them.
   */
  creatorTokenId: z.string().nullable().default(null),
  /** The signed link that created it, which may use no other upload. */
  linkId: z.string().nullable(),
  createdAtMs: z.number(),
  /** Length of the whole upload in bytes; null while it is deferred. */
  length: z.int().min(0).nullable(),
  /** `Upload-Metadata` as the client sent it; null without one. */
  metadata: z.string().nullable(),
  /** `Upload-Concat` as the client sent it; null for an ordinary upload. */
  concat: z.string().nullable(),
  kind: z.enum(['whole', 'partial', 'final']),
  /** Chosen at creation, so that publishing twice creates one image; null for a part. */
  imageId: z.string().nullable(),
  /** Description of the image; null for a part. */
  draft: imageDraftSchema.nullable(),
  /** Whether the creator may add installation images; the inspection shows whether the image is one. */
  mayBeInstallation: z.boolean().default(true),
  filename: z.string().nullable(),
  device: z.string().nullable(),
  /** Set for an internal upload: the task that fetches its bytes, and what is known of their source. */
  internal: z
    .object({ taskId: z.string(), source: imageSourceSchema.omit({ uploadId: true, storeId: true }), validator: z.string().nullable() })
    .nullable()
    .default(null),
  /** When its image was published; null before. */
  publishedAtMs: z.number().nullable(),
})

export type UploadFile = z.infer<typeof uploadFileSchema>

/** Returns the path of an upload's folder. */
export function uploadFolder(folder: string, id: string): string {
  return join(folder, id)
}

/** Returns the path of an upload's journal. */
export function journalPath(folder: string, id: string): string {
  return join(folder, id, 'journal')
}

/** Writes upload.json; durable when it resolves. */
export async function writeUploadFile(disk: Disk, folder: string, file: UploadFile): Promise<void> {
  await disk.writeFileAtomic(join(folder, file.id, 'upload.json'), JSON.stringify(file, undefined, 2))
}

/** Reads upload.json. Returns undefined when the file does not exist; throws when it cannot be read or is not valid. */
export async function readUploadFile(disk: Disk, folder: string, id: string): Promise<UploadFile | undefined> {
  const path = join(folder, id, 'upload.json')
  if (!(await disk.stat(path))) return undefined
  const text = new TextDecoder().decode(await disk.readFile(path, UPLOAD_FILE_BYTES_MAX))
  const parsed = uploadFileSchema.safeParse(JSON.parse(text))
  if (!parsed.success) throw new Error(`${path} is not valid: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

/** Removes an upload: upload.json first, so that a half-removed folder never looks like an upload with fewer bytes. */
export async function removeUploadFolder(disk: Disk, folder: string, id: string): Promise<void> {
  await disk.remove(join(folder, id, 'upload.json'))
  await disk.removeTree(join(folder, id))
}
