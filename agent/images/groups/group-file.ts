// The file media-groups.json on the mount path: the settings of media groups. Layout: docs/format.md, "media-groups.json".
//
//   {"format":1,"digest":"sha256:<64 hex digits>","groups":<JSON of the settings>}\n

import { z } from 'zod'
import { sha256 } from '../../../protocol/slices/digest.ts'
import { DESCRIPTION_LENGTH_MAX, NAME_LENGTH_MAX, nameSchema } from '../../../protocol/images/image.ts'
import { MEDIA_GROUPS_MAX } from '../../../protocol/images/media-group.ts'

/** Name of the file on the mount path. */
export const GROUP_FILE = 'media-groups.json'
/** Most names that a group has had before. */
export const FORMER_NAMES_MAX = 16
/** Longest media-groups.json in bytes. A change that would exceed it is refused. */
export const GROUP_FILE_BYTES_MAX = 2 * 1024 * 1024

const recordSchema = z.strictObject({
  name: nameSchema,
  description: z.string().max(DESCRIPTION_LENGTH_MAX),
  visible: z.boolean(),
  /** Names that the group had before. An image.json that has one of them was written before the group was renamed. */
  formerNames: z.array(z.string().min(1).max(NAME_LENGTH_MAX)).max(FORMER_NAMES_MAX),
})

/** What the store keeps about one media group. */
export type GroupRecord = z.infer<typeof recordSchema>

const settingsSchema = z.strictObject({
  records: z.array(recordSchema).max(MEDIA_GROUPS_MAX),
  /** Whether groups without a record are hidden, because the file was lost. */
  othersHidden: z.boolean(),
})

export type GroupSettings = z.infer<typeof settingsSchema>

const fileSchema = z.strictObject({ format: z.literal(1), digest: z.string(), groups: z.unknown() })

/** Encodes a media-groups.json. */
export async function encodeGroupFile(settings: GroupSettings): Promise<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  // Parsed for the order of members, which the digest covers.
  const groups = JSON.stringify(settingsSchema.parse(settings))
  return encoder.encode(`{"format":1,"digest":"${await sha256(encoder.encode(groups))}","groups":${groups}}\n`)
}

/** Decodes a media-groups.json. Returns undefined if it is damaged. */
export async function decodeGroupFile(bytes: Uint8Array): Promise<GroupSettings | undefined> {
  try {
    const file = fileSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
    const settings = settingsSchema.parse(file.groups)
    return (await sha256(new TextEncoder().encode(JSON.stringify(settings)))) === file.digest ? settings : undefined
  } catch {
    return undefined
  }
}
