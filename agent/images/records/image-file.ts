// The file image.json: metadata of one image on the mount path. It starts with a digest of the metadata, so any flipped byte is detected.
// Layout: docs/format.md, "image.json".
//
//   {"format":1,"digest":"sha256:<64 hex digits>","image":<JSON of the image>}\n

import { z } from 'zod'
import { parseDigest, sha256 } from '../../../protocol/slices/digest.ts'
import { imageFormatSchema, imageKindSchema, imageSchema, imageStatusSchema } from '../../../protocol/images/image.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { formatTime } from '../../../protocol/time.ts'
import { usageStateSchema } from '../usage/usage-state.ts'
import { completeRequirements, ownRequirements } from './requirements.ts'

/** Maximum length of an image.json in bytes. The limits on names, bindings and grants keep every image below it. */
export const IMAGE_FILE_BYTES_MAX = 2 * 1024 * 1024
/**
 * Age in milliseconds up to which the name of an image.json may not be durable: file systems write changes back within a minute. To sync the folders
 * of all images would add seconds to the start of a large store.
 */
const RECENT_MS = 3_600_000

const HEAD = '{"format":1,"digest":"'
const MIDDLE = '","image":'
const TAIL = '}\n'
const DIGEST_TEXT_LENGTH = 71

/** State of an image that clients do not see. */
const lifeSchema = z.object({
  /** Properties declared by the uploader. They are compared with the bytes before the image becomes available. */
  declared: z
    .object({
      digest: z.string().nullable(),
      format: imageFormatSchema.nullable(),
      kind: imageKindSchema.nullable(),
      /** Whether the creator may add installation images. */
      mayBeInstallation: z.boolean().default(true),
    })
    .default({ digest: null, format: null, kind: null, mayBeInstallation: true }),
  /** Digest of the manifest of a compressed file, in `compressed`, that is unpacked before the image is inspected. Null for any other image. */
  compressed: z.string().nullable().default(null),
  /** Status to return to after the recycle bin or after damage. */
  before: z.object({ status: imageStatusSchema, statusReason: z.string().nullable() }).nullable().default(null),
  /** Which part of the image is damaged. */
  damage: z.enum(['slices', 'manifest', 'metadata']).nullable().default(null),
  /** When damage was last found, in milliseconds since 1970. A scrub that started earlier does not clear it. */
  damagedAtMs: z.number().default(0),
  /** Whether the digest was reported by another store and not computed by this one yet. */
  digestClaimed: z.boolean().default(false),
  /** Periods in which the image was available. Null in a file of an agent that kept none; they then follow from availableAt and deletedAt. */
  usage: usageStateSchema.nullable().default(null),
})

export type ImageLife = z.infer<typeof lifeSchema>

/** An image as the catalogue stores it. */
export interface StoredImage {
  readonly image: Image
  readonly life: ImageLife
}

/** A stored image; the life of one in a file of an earlier version may be missing. */
export const storedSchema = imageSchema.extend({ life: lifeSchema.default(lifeSchema.parse({})) })

/** Returns whether an image.json was modified so recently that its name may not be durable. Both times are in milliseconds since 1970. */
export function isNameRecent(modifiedMs: number, nowMs: number): boolean {
  return Math.abs(nowMs - modifiedMs) < RECENT_MS
}

export function newLife(life: Partial<ImageLife> = {}): ImageLife {
  return { ...lifeSchema.parse({}), ...life }
}

/** Returns an image of which only the given members are known. Without a status it is `creating`; without a name, its id is its name. */
export function blankImage({ id, ...known }: Partial<Image> & Pick<Image, 'id'>, createdAtMs: number): Image {
  return {
    id,
    name: id,
    description: '',
    kind: 'disk',
    format: null,
    formatDetails: null,
    status: 'creating',
    statusReason: null,
    digest: null,
    manifestDigest: null,
    length: 0,
    virtualSize: null,
    storedSize: null,
    uniqueSize: null,
    os: null,
    cloudInit: null,
    requirements: null,
    mediaGroup: null,
    hidden: false,
    owner: null,
    labels: {},
    sourceInstance: null,
    source: { kind: 'existing', uploadId: null, storeId: null, url: null, filename: null, device: null },
    protected: false,
    bindings: [],
    grants: [],
    createdAt: formatTime(createdAtMs),
    availableAt: null,
    deletedAt: null,
    expiresAt: null,
    ...known,
  }
}

/** Encodes an image.json. Whether the image is hidden follows from its media group. */
export async function encodeImageFile(stored: StoredImage): Promise<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  const value = encoder.encode(JSON.stringify({ ...stored.image, requirements: ownRequirements(stored.image), hidden: undefined, life: stored.life }))
  const head = encoder.encode(HEAD + (await sha256(value)) + MIDDLE)
  const tail = encoder.encode(TAIL)
  const bytes = new Uint8Array(head.byteLength + value.byteLength + tail.byteLength)
  bytes.set(head)
  bytes.set(value, head.byteLength)
  bytes.set(tail, head.byteLength + value.byteLength)
  return bytes
}

/** Decodes an image.json. Returns the reason if it is damaged. */
export async function decodeImageFile(bytes: Uint8Array<ArrayBuffer>): Promise<{ kind: 'whole'; stored: StoredImage } | { kind: 'damaged'; reason: string }> {
  const damaged = (reason: string) => ({ kind: 'damaged' as const, reason })
  const valueStart = HEAD.length + DIGEST_TEXT_LENGTH + MIDDLE.length
  const valueEnd = bytes.byteLength - TAIL.length
  if (valueEnd <= valueStart) return damaged('it is too short')
  const frame = new TextDecoder('latin1')
  const head = frame.decode(bytes.subarray(0, valueStart))
  const digest = parseDigest(head.slice(HEAD.length, HEAD.length + DIGEST_TEXT_LENGTH))
  if (!head.startsWith(HEAD) || !head.endsWith(MIDDLE) || !digest) return damaged('it does not start with the header of format 1')
  if (frame.decode(bytes.subarray(valueEnd)) !== TAIL) return damaged('its end is missing')
  const value = bytes.subarray(valueStart, valueEnd)
  if ((await sha256(value)) !== digest) return damaged('its digest does not match its bytes')
  const parsed = storedSchema.safeParse(parseJson(new TextDecoder().decode(value)))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return damaged(`its member ${issue?.path.join('.') || 'image'} is not valid: ${issue?.message ?? 'unknown reason'}`)
  }
  const { life, ...image } = parsed.data
  return { kind: 'whole', stored: { image: { ...image, requirements: completeRequirements(image) }, life } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
