// Pinned host keys as rows, and how one is found.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { HOST_KEYS_MAX } from '../../../protocol/images/host-key.ts'
import type { HostKey } from '../../../protocol/images/host-key.ts'
import { problem } from '../../../protocol/problems.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatWireTime, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { Column, Row } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { askStore } from '../select.ts'

/** A pinned key and the store that pinned it. */
export interface FoundHostKey {
  readonly store: StoreRecord
  readonly key: HostKey
}

export const HOST_KEY_COLUMNS: readonly Column[] = [
  { key: 'host', label: 'Host', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'fingerprint', label: 'Expected', isWhole: true },
  { key: 'offered', label: 'Offered instead', isWhole: true },
  { key: 'pinned', label: 'Pinned', isMinor: true },
]

export function hostKeyRow({ store, key }: FoundHostKey): Row {
  return {
    tone: key.offered ? 'warning' : 'plain',
    cells: {
      host: key.host,
      store: store.name,
      fingerprint: key.fingerprint,
      offered: key.offered?.fingerprint ?? UNKNOWN,
      pinned: formatWireTime(key.pinnedAt),
    },
  }
}

/** A host key for `--json`: the members of the HTTP interface, and the store. */
export function hostKeyJson({ store, key }: FoundHostKey): Record<string, unknown> {
  return { store: store.name, ...key }
}

/** Reads the pinned keys of a store. */
export async function readHostKeys(agent: AgentClient): Promise<HostKey[]> {
  const keys: HostKey[] = []
  for await (const key of agent.hostKeys.all()) if (keys.push(key) >= HOST_KEYS_MAX) break
  return keys
}

/** Returns the pinned key of `host:port`, or of a host that has one pinned port. Throws ProblemError `not-found` or `conflict`. */
export async function findHostKey(context: CommandContext, store: StoreRecord, host: string): Promise<HostKey> {
  const keys = await askStore(context, store, readHostKeys)
  const found = keys.filter((key) => key.host === host)
  const named = found.length > 0 ? found : keys.filter((key) => key.host.replace(/:\d+$/, '') === host)
  const [key] = named
  if (!key)
    throw problem('not-found', `${store.name} has pinned no host key of ${host}.`, { action: `See its host keys with host-key list store=${store.name}.` })
  if (named.length > 1)
    throw problem('conflict', `${store.name} has pinned host keys of ${named.map((one) => one.host).join(' and ')}.`, {
      action: 'Name the host with its port.',
    })
  return key
}
