// The settings of a store of the sessions: a change of them is in the next answer, as with an agent.

import type { Store } from '../../../../protocol/store.ts'
import type { Asked, Script } from '../scripted-fleet.ts'
import { storeOf } from '../scripted-fleet.ts'

type Setting = Readonly<Record<string, unknown>>

/** What the configuration of the store says. */
const RETENTION = { deletion: 'delayed', seconds: 259_200 }
const TRANSFER = { uploadConcurrency: 2, downloadConcurrency: 1 }
const SYNC = { bytesPerSecond: null, hours: [] }
const RESERVED = 2e9

/** The setting after a change; a null, or a member that is null, is what the configuration says. */
function merged(configured: Setting, before: Setting, given: Setting | null): Setting {
  const members = Object.entries(given ?? configured).map(([key, value]) => [key, value ?? configured[key]])
  return { ...before, ...(Object.fromEntries(members) as Setting), configured }
}

interface Patch {
  readonly reserved?: number | null
  readonly kinds?: readonly string[] | null
  readonly retention?: Setting | null
  readonly transfer?: Setting | null
  readonly sync?: Setting | null
}

/** Answers `GET /store` and `PATCH /store`. */
export function changeable(first: Partial<Store>): Script {
  let store = storeOf(first)
  return {
    'GET /store': () => store,
    'PATCH /store': ({ body }: Asked) => {
      const { reserved, kinds, retention, transfer, sync, ...others } = body as Patch
      store = storeOf({
        ...store,
        ...others,
        ...(reserved !== undefined && { reserve: { bytes: reserved ?? RESERVED, configured: RESERVED } }),
        ...(kinds !== undefined && { kinds: { accepted: kinds ?? [], configured: [] } }),
        ...(retention !== undefined && { retention: merged(RETENTION, store.retention, retention) }),
        ...(transfer !== undefined && { transfer: merged(TRANSFER, store.transfer, transfer) }),
        // 0 is no limit.
        ...(sync !== undefined && { sync: merged(SYNC, store.sync ?? SYNC, { ...sync, ...(sync?.['bytesPerSecond'] === 0 && { bytesPerSecond: null }) }) }),
      } as Partial<Store>)
      return store
    },
  }
}
