// The parameters of an import task, as they are stored with it.

import { z } from 'zod'
import { roleSchema } from '../../protocol/access.ts'
import { imageDraftSchema, imageSourceSchema } from '../../protocol/images/image.ts'
import type { ImportLocation, SourceCredentials } from './source.ts'

/** Parameters of the task. They contain no secret: the query of a URL often is one, so it is stored with the credentials. */
export const importParamsSchema = z.object({
  /** Ids of the upload and of the image that it becomes, chosen when the task is created. */
  uploadId: z.string(),
  imageId: z.string(),
  location: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('url'), url: z.string() }),
    z.object({ kind: z.literal('path'), path: z.string() }),
    z.object({ kind: z.literal('mount'), path: z.string(), identity: z.object({ inode: z.string(), length: z.int().min(0), modifiedNs: z.string() }) }),
  ]),
  /** How the image came into the store, for its `source`. */
  origin: imageSourceSchema.shape.kind,
  filename: z.string().nullable(),
  creator: z.object({ name: z.string(), tokenId: z.string(), role: roleSchema }),
  draft: imageDraftSchema,
})

export type ImportParams = z.infer<typeof importParamsSchema>

/** Longest file name that is stored, in characters. */
const FILENAME_LENGTH_MAX = 255

const CREDENTIALS = ['username', 'password', 'token', 'privateKey', 'passphrase', 'hostKey'] as const

const secretSchema = z.object({
  query: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  token: z.string().optional(),
  privateKey: z.string().optional(),
  passphrase: z.string().optional(),
  hostKey: z.string().optional(),
})

/** A location without its secret parts, and these parts. */
export interface SplitLocation {
  readonly location: ImportLocation
  /** JSON for the sealer; undefined when there is no secret. */
  readonly secret: string | undefined
}

/** Takes what may be secret out of a location. */
export function splitSecret(location: ImportLocation, credentials: SourceCredentials): SplitLocation {
  const secret: z.infer<typeof secretSchema> = {}
  for (const key of CREDENTIALS) if (credentials[key] !== undefined) secret[key] = credentials[key]
  let open = location
  if (location.kind === 'url') {
    const url = new URL(location.url)
    if (url.search !== '') secret.query = url.search
    url.search = ''
    url.hash = ''
    open = { kind: 'url', url: url.href }
  }
  return { location: open, secret: Object.keys(secret).length === 0 ? undefined : JSON.stringify(secret) }
}

/** Puts a location and its secret parts together again. */
export function joinSecret(
  location: ImportLocation,
  secret: string | undefined,
): { readonly location: ImportLocation; readonly credentials: SourceCredentials } {
  if (secret === undefined) return { location, credentials: {} }
  const { query, ...credentials } = secretSchema.parse(JSON.parse(secret))
  if (location.kind !== 'url' || query === undefined) return { location, credentials }
  const url = new URL(location.url)
  url.search = query
  return { location: { kind: 'url', url: url.href }, credentials }
}

/** Returns the last part of the path of a location; null when it has none. */
export function filenameOf(location: ImportLocation): string | null {
  const path = location.kind === 'url' ? new URL(location.url).pathname : location.path
  const last = path.split('/').at(-1) ?? ''
  return (location.kind === 'url' ? decoded(last) : last).slice(0, FILENAME_LENGTH_MAX) || null
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A % that encodes nothing.
    return text
  }
}
