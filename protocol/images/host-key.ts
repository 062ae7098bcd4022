// Host keys of SFTP servers as a store has pinned them.

import { z } from 'zod'
import { timeSchema } from '../time.ts'

/** Most hosts whose key a store pins. */
export const HOST_KEYS_MAX = 1000

/** Longest `host:port`: a name of DNS has at most 253 characters. */
export const HOST_LENGTH_MAX = 300

const keySchema = z.object({
  /** Such as `ssh-ed25519`. */
  algorithm: z.string(),
  /** `SHA256:` and Base64 without padding, as ssh-keygen prints it. */
  fingerprint: z.string(),
})

export const hostKeySchema = keySchema.extend({
  /** `host:port`; IPv6 addresses in brackets. */
  host: z.string(),
  pinnedAt: timeSchema,
  /** The key that the host offered last when an import was refused, and when it did so first; null if it never offered another key. */
  offered: keySchema.extend({ firstAt: timeSchema }).nullable().default(null),
})

export type HostKey = z.infer<typeof hostKeySchema>
