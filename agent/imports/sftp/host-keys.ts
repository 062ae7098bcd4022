// The host keys of SFTP servers that this store has pinned: the first connection to a host pins its key, and a later connection with another
// key is refused, because it may be somebody else who answers (RFC 4251 §4.1).

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { HOST_KEYS_MAX, hostKeySchema } from '../../../protocol/images/host-key.ts'
import type { HostKey } from '../../../protocol/images/host-key.ts'
import { formatTime } from '../../../protocol/time.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { KeptValues } from '../../contract/store.ts'
import type { EmitEvent } from '../../contract/work.ts'

const KEPT_KEY = 'imports.host-keys'

/** The key that a server shows. */
export type ShownKey = Pick<HostKey, 'host' | 'algorithm' | 'fingerprint'>

export interface HostKeys {
  /** Returns all pinned keys, ordered by host. */
  list(): HostKey[]
  find(host: string): HostKey | undefined
  /**
   * Checks the key of a server. `expected` is the fingerprint that the request names: it replaces the pin. Without it and without a pin, the key
   * is pinned; durable when it returns. Throws ProblemError `host-key-mismatch` when the key is another one, which the pin then remembers, and
   * `limit-reached` when there is no room for another pin: none is ever dropped for a new one, because that would end its protection.
   */
  check(shown: ShownKey, expected: string | undefined): void
  /** Removes a pin, durable when it returns. Returns false if the host has none. */
  forget(host: string, actor: string): boolean
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

  const others = (host: string): HostKey[] => pins().filter((pin) => pin.host !== host)
  const now = (): string => formatTime(clock.nowMs())

  const pin = (shown: ShownKey, before: HostKey | undefined): void => {
    kept.write(KEPT_KEY, [...others(shown.host), { ...shown, pinnedAt: now(), offered: null }])
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

  /** Remembers which key a host offered instead of the pinned one. Writes once for each key, however often it is offered. */
  const remember = ({ algorithm, fingerprint }: ShownKey, pinned: HostKey): void => {
    if (pinned.offered?.fingerprint === fingerprint) return
    kept.write(KEPT_KEY, [...others(pinned.host), { ...pinned, offered: { algorithm, fingerprint, firstAt: now() } }])
  }

  return {
    list: () => pins().toSorted((a, b) => (a.host < b.host ? -1 : 1)),
    find,
    check(shown, expected) {
      const pinned = find(shown.host)
      const isExpected = shown.fingerprint === (expected ?? pinned?.fingerprint ?? shown.fingerprint)
      if (!isExpected && pinned && pinned.fingerprint !== shown.fingerprint) remember(shown, pinned)
      if (expected !== undefined && !isExpected) throw notExpected(shown, expected)
      if (pinned && !isExpected) throw changed(shown, pinned)
      if (pinned?.fingerprint === shown.fingerprint) return
      if (pinned || pins().length < HOST_KEYS_MAX) return pin(shown, pinned)
      // The request vouches for the key itself.
      if (expected === undefined) throw full(shown.host)
    },
    forget(host, actor) {
      const pinned = find(host)
      if (!pinned) return false
      kept.write(KEPT_KEY, others(host))
      emit({
        type: 'import.host-key-forgotten',
        severity: 'warning',
        subject: host,
        message: `${actor} made this store forget the host key of ${host}, ${pinned.fingerprint} (${pinned.algorithm}). The next import from it pins the key that it shows then.`,
        details: { host, algorithm: pinned.algorithm, fingerprint: pinned.fingerprint, actor },
      })
      return true
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
    action: `Ask the operator of the server whether its key was changed, and compare the fingerprint with "ssh-keygen -lf" on the server. If it is right, repeat the import with hostKey set to it, or forget the pinned key with "host-key forget ${host}".`,
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

function full(host: string): ProblemError {
  return problem('limit-reached', `The host key of ${host} cannot be pinned: the keys of ${HOST_KEYS_MAX} hosts are pinned, which is the limit.`, {
    action: 'Forget keys that are no longer needed: "host-key list" shows them. Or set hostKey to the fingerprint of the server.',
  })
}
