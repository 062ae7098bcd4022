// The file image.json: metadata of one image on the mount path. A digest in front of the value makes one flipped byte
// anywhere noticeable. Layout: docs/format.md, "image.json".
//
//   {"format":1,"digest":"sha256:<64 hex digits>","image":<JSON of the image>}\n

import { z } from 'zod'
import { parseDigest, sha256 } from '../../protocol/digest.ts'
import { imageFormatSchema, imageKindSchema, imageSchema, imageStatusSchema } from '../../protocol/image.ts'
import type { Image } from '../../protocol/image.ts'

/** Longest image.json in bytes: the bounds on names, bindings and grants keep every image below it. */
export const IMAGE_FILE_BYTES_MAX = 2 * 1024 * 1024

const HEAD = '{"format":1,"digest":"'
const MIDDLE = '","image":'
const TAIL = '}\n'
const DIGEST_TEXT_LENGTH = 71

/** What the catalogue stores about an image beyond what clients see. */
const lifeSchema = z.object({
  /** What the uploader declared about the image; compared with the bytes before it becomes available. */
  declared: z
    .object({ digest: z.string().nullable(), format: imageFormatSchema.nullable(), kind: imageKindSchema.nullable() })
    .default({ digest: null, format: null, kind: null }),
  /** Status before the recycle bin or before damage, to return to. */
  before: z.object({ status: imageStatusSchema, statusReason: z.string().nullable() }).nullable().default(null),
  /** What is damaged: slices of it, its manifest, or its metadata. */
  damage: z.enum(['slices', 'manifest', 'metadata']).nullable().default(null),
  /** When damage was last seen, in milliseconds since 1970: a scrub that began before does not clear it. */
  damagedAtMs: z.number().default(0),
  /** Whether the digest was only named by another store and not yet computed from the bytes here. */
  digestClaimed: z.boolean().default(false),
})

export type ImageLife = z.infer<typeof lifeSchema>

/** An image as the catalogue holds it. */
export interface StoredImage {
  readonly image: Image
  readonly life: ImageLife
}

const storedSchema = imageSchema.extend({ life: lifeSchema.default(lifeSchema.parse({})) })

export function newLife(life: Partial<ImageLife> = {}): ImageLife {
  return { ...lifeSchema.parse({}), ...life }
}

/** Returns the bytes of an image.json. */
export async function encodeImageFile(stored: StoredImage): Promise<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  const value = encoder.encode(JSON.stringify({ ...stored.image, life: stored.life }))
  const head = encoder.encode(HEAD + (await sha256(value)) + MIDDLE)
  const tail = encoder.encode(TAIL)
  const bytes = new Uint8Array(head.byteLength + value.byteLength + tail.byteLength)
  bytes.set(head)
  bytes.set(value, head.byteLength)
  bytes.set(tail, head.byteLength + value.byteLength)
  return bytes
}

/** Reads an image.json; `damaged` says why it is not one. */
export async function decodeImageFile(bytes: Uint8Array<ArrayBuffer>): Promise<{ kind: 'whole'; stored: StoredImage } | { kind: 'damaged'; reason: string }> {
  const damaged = (reason: string) => ({ kind: 'damaged' as const, reason })
  const valueStart = HEAD.length + DIGEST_TEXT_LENGTH + MIDDLE.length
  const valueEnd = bytes.byteLength - TAIL.length
  if (valueEnd <= valueStart) return damaged('it is too short')
  const frame = new TextDecoder('latin1')
  const head = frame.decode(bytes.subarray(0, valueStart))
  const digest = parseDigest(head.slice(HEAD.length, HEAD.length + DIGEST_TEXT_LENGTH))
  if (!head.startsWith(HEAD) || !head.endsWith(MIDDLE) || !digest) return damaged('it does not begin as an image.json of format 1 does')
  if (frame.decode(bytes.subarray(valueEnd)) !== TAIL) return damaged('its end is missing')
  const value = bytes.subarray(valueStart, valueEnd)
  if ((await sha256(value)) !== digest) return damaged('its digest does not match its bytes')
  const parsed = storedSchema.safeParse(parseJson(new TextDecoder().decode(value)))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return damaged(`its member ${issue?.path.join('.') || 'image'} is not valid: ${issue?.message ?? 'unknown reason'}`)
  }
  const { life, ...image } = parsed.data
  return { kind: 'whole', stored: { image, life } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
