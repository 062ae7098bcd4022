// Imports: images that a store fetches itself. The body of POST /v1/images, the plan of a dry run, and the result of a task.

import { z } from 'zod'
import { imageDraftSchema, imageSourceSchema } from './image.ts'

/** Longest address and longest path of a source in characters. */
const SOURCE_LENGTH_MAX = 4096

/** Longest private key in characters: RSA with 16,384 bits needs 13,000. */
const PRIVATE_KEY_LENGTH_MAX = 16 * 1024

/** Text for a login. A line end would leave a header or a command. */
const loginText = z.string().regex(/^[^\u0000-\u001f\u007f]{1,1024}$/, 'must be 1 to 1024 characters without control characters')

/** An address without credentials: these are members of their own, which are sealed. */
const sourceUrl = z
  .string()
  .max(SOURCE_LENGTH_MAX)
  .regex(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s\u0000-\u001f\u007f]+$/, 'must be an address with a scheme, such as https://mirror.example/debian-12.qcow2')
  .refine((text) => {
    const url = URL.parse(text)
    return url !== null && url.username === '' && url.password === ''
  }, 'must be a valid address without user name and password: send them as the members username and password')
  .meta({ pattern: String.raw`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s\u0000-\u001f\u007f]+(?:/[^\s\u0000-\u001f\u007f]*)?$` })

/** The source of an import: an address with the credentials that its server asks for, or a path on the node of the agent. For a plan, also an upload. */
const importSourceSchema = z
  .strictObject({
    url: sourceUrl.optional(),
    username: loginText.optional(),
    password: loginText.optional(),
    /** Sent as a bearer token (RFC 6750). */
    token: z
      .string()
      .regex(/^[\x21-\x7e]{1,4096}$/, 'must be 1 to 4096 printable ASCII characters without spaces')
      .optional(),
    /** Key for a login by sftp, in OpenSSH or PEM format, and its passphrase. */
    privateKey: z
      .string()
      .max(PRIVATE_KEY_LENGTH_MAX)
      .regex(/^-----BEGIN [A-Z0-9 ]+-----[\r\n][\x20-\x7e\r\n]+$/, 'must be a private key in OpenSSH or PEM format')
      .optional(),
    passphrase: loginText.optional(),
    /** Fingerprint that the host key of an SFTP server must have, as `ssh-keygen -lf` prints it. It replaces the pinned one. */
    hostKey: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be SHA256: and 43 characters of Base64')
      .optional(),
    path: z.string().min(1).max(SOURCE_LENGTH_MAX).optional(),
    /** Length of an upload in bytes, for the plan of one. */
    length: z.int().min(0).optional(),
  })
  .refine(
    (source) => [source.url, source.path, source.length].filter((member) => member !== undefined).length === 1,
    'must have exactly one of url, path and length',
  )
  .meta({ oneOf: [{ required: ['url'] }, { required: ['path'] }, { required: ['length'] }] })

/** Body of POST /v1/images. */
export const importRequestSchema = z.strictObject({
  source: importSourceSchema,
  ...imageDraftSchema.shape,
  /** Answers with the plan, and changes nothing. */
  dryRun: z.boolean().default(false),
})

export type ImportRequest = z.input<typeof importRequestSchema>

/** Answer to a dry run. */
export const importPlanSchema = z.object({
  dryRun: z.literal(true),
  /** What will be read. `length` is null when the source does not tell. */
  source: z.object({
    kind: imageSourceSchema.shape.kind,
    /** The address without its query, or the path. */
    location: z.string(),
    filename: z.string().nullable(),
    length: z.int().min(0).nullable(),
    /** Whether an interrupted import continues where it ended. */
    canResume: z.boolean(),
  }),
  /** What the image will be. */
  image: imageDraftSchema,
  /** Space in bytes: what the image may need, and what the store has above its reserve. */
  space: z.object({ neededBytes: z.int().min(0).nullable(), availableBytes: z.number() }),
  limits: z.object({
    /** Longest image in bytes that the store accepts. */
    lengthMax: z.number(),
    /** Images of one owner; 0 means no limit. */
    imagesPerOwnerMax: z.int().min(0),
    /** Total length in bytes of the images of one owner; 0 means no limit. */
    bytesPerOwnerMax: z.number().min(0),
  }),
  /** Reasons for which the import would fail now, one sentence each. */
  objections: z.array(z.string()),
})

export type ImportPlan = z.infer<typeof importPlanSchema>

/** `result` of an import task. */
export const importResultSchema = z.object({
  image: z.string(),
  name: z.string(),
  length: z.int().min(0),
  /**
   * What shows that the bytes are those of the source: a `digest` that was given, a `channel` that cannot be changed on the way (https, sftp, ftps, a
   * file of the node), or `none` (http, ftp).
   */
  verification: z.enum(['digest', 'channel', 'none']),
})
export type ImportResult = z.infer<typeof importResultSchema>
