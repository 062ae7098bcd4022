// The host keys of SFTP servers that this store has pinned: the first connection to a host pins its key, and a later connection with another
// key is refused, because it may be somebody else who answers (RFC 4251 §4.1).

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { formatTime, timeSchema } from '../../../protocol/time.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { KeptValues } from '../../contract/store.ts'
import type { EmitEvent } from '../../contract/work.ts'

/** Most hosts whose key is pinned. The pin of the host that was pinned first is replaced then. */
export const HOST_KEYS_MAX = 1000

const KEPT_KEY = 'imports.host-keys'

const hostKeySchema = z.object({
  /** `host:port`; IPv6 addresses in brackets. */
  host: z.string(),
  /** Such as `ssh-ed25519`. */
  algorithm: z.string(),
  /** `SHA256:` and Base64 without padding, as ssh-keygen prints it. */
  fingerprint: z.string(),
  pinnedAt: timeSchema,
})

export type HostKey = z.infer<typeof hostKeySchema>

/** The key that a server shows. */
export type ShownKey = Pick<HostKey, 'host' | 'algorithm' | 'fingerprint'>

export interface HostKeys {
  find(host: string): HostKey | undefined
  /**
   * Checks the key of a server. `expected` is the fingerprint that the request names: it replaces the pin. Without it and without a pin, the key
   * is pinned; durable when it returns. Throws ProblemError `host-key-mismatch` when the key is another one.
   */
  check(shown: ShownKey, expected: string | undefined): void
}

export interface HostKeysDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
}

/** Opens the pinned host keys of a store. */
export function openHostKeys({ kept, clock, emit }: HostKeysDeps): HostKeys {
  const pins = (): HostKey[] => {
    const parsed = z.array(hostKeySchema).safeParse(kept.read(KEPT_KEY) ?? [])
    // A list that cannot be read must not pin whatever answers next.
    if (!parsed.success) throw problem('internal', 'The pinned host keys in the state folder cannot be read.')
    return parsed.data
  }
  const find = (host: string): HostKey | undefined => pins().find((pin) => pin.host === host)

  const pin = (shown: ShownKey): void => {
    const before = find(shown.host)
    const others = pins().filter(({ host }) => host !== shown.host)
    kept.write(KEPT_KEY, [...others, { ...shown, pinnedAt: formatTime(clock.nowMs()) }].slice(-HOST_KEYS_MAX))
    emit({
      type: 'import.host-key-pinned',
      severity: 'info',
      subject: shown.host,
      message: before
        ? `The host key of ${shown.host} was replaced: ${shown.fingerprint} (${shown.algorithm}) instead of ${before.fingerprint}.`
        : `The host key of ${shown.host} was pinned on first use: ${shown.fingerprint} (${shown.algorithm}). Compare it with "ssh-keygen -lf" on the server.`,
      details: { ...shown },
    })
  }

  return {
    find,
    check(shown, expected) {
      if (expected !== undefined && shown.fingerprint !== expected) throw notExpected(shown, expected)
      const pinned = find(shown.host)
      if (pinned?.fingerprint === shown.fingerprint) return
      if (pinned && expected === undefined) throw changed(shown, pinned)
      pin(shown)
    },
  }
}

/** Returns what a server shows, from its host key as it is on the wire (RFC 4253 §6.6): the first string names the algorithm. */
export function describeHostKey(host: string, key: Uint8Array): ShownKey {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  const length = key.byteLength >= 4 ? view.getUint32(0) : 0
  const algorithm = length > 0 && length <= 64 && length + 4 <= key.byteLength ? new TextDecoder('latin1').decode(key.subarray(4, 4 + length)) : 'unknown'
  return { host, algorithm, fingerprint: `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}` }
}

function changed({ host, algorithm, fingerprint }: ShownKey, pinned: HostKey): ProblemError {
  return problem('host-key-mismatch', `The host key of ${host} is ${fingerprint} (${algorithm}), but ${pinned.fingerprint} was pinned at ${pinned.pinnedAt}.`, {
    action:
      'Ask the operator of the server whether its key was changed, and compare the fingerprint with "ssh-keygen -lf" on the server. If it is right, repeat the import with hostKey set to it.',
    fingerprint,
    pinnedFingerprint: pinned.fingerprint,
  })
}

function notExpected({ host, algorithm, fingerprint }: ShownKey, expected: string): ProblemError {
  return problem('host-key-mismatch', `The host key of ${host} is ${fingerprint} (${algorithm}), not ${expected} as the request says.`, {
    action: 'Compare both with "ssh-keygen -lf" on the server. No password or key was sent.',
    fingerprint,
  })
}
