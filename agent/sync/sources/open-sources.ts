// Opens the sources of a task. A task begins as soon as it can: a source that answers late joins the pool later.

import { errorText } from '../../../protocol/errors.ts'
import { problem } from '../../../protocol/problems.ts'
import type { SourceAddress, SourceReport } from '../../../protocol/sync/sync.ts'
import type { Log } from '../../contract/runtime.ts'
import { openSource } from './connect.ts'
import type { ConnectDeps, SliceSource } from './connect.ts'
import { faultOf } from './faults.ts'
import { createSourcePool } from './source-pool.ts'
import type { SourcePool } from './source-pool.ts'

/** Time that the other sources have to answer after the first one has, in milliseconds. */
const OTHERS_MS = 1000

export interface OpenedSources extends Disposable {
  readonly pool: SourcePool
  /** Returns what each source did, in the order of the addresses. A source that has not answered yet is missing. */
  report(): SourceReport[]
  /** Returns the sources that answered, with their addresses. */
  opened(): readonly OpenedSource[]
}

export interface OpenedSource {
  readonly address: SourceAddress
  readonly source: SliceSource
}

/** Opens sources. Throws the problem of the first one if none can be used. Disposing ends requests to sources that have not answered. */
export async function openSources(deps: ConnectDeps & { readonly log: Log }, addresses: readonly SourceAddress[], signal: AbortSignal): Promise<OpenedSources> {
  const pool = createSourcePool(deps)
  const ended = new AbortController()
  const failures = new Map<string, { readonly error: unknown; readonly report: SourceReport }>()
  const answered: OpenedSource[] = []
  const both = AbortSignal.any([signal, ended.signal])

  const openOne = async (address: SourceAddress, place: number): Promise<void> => {
    try {
      const source = await openSource(deps, address, both)
      if (ended.signal.aborted) return
      pool.add(source, place)
      answered.push({ address, source })
    } catch (error) {
      if (both.aborted) return
      const fault = { name: faultOf(error) ?? ('not-an-agent' as const), detail: errorText(error) }
      failures.set(address.url, { error, report: { url: address.url, storeId: null, slicesMoved: 0, bytesMoved: 0, bytesPerSecond: null, faults: 1, fault } })
      deps.log.warn('a source of a sync cannot be used', { source: address.url, fault: fault.name, detail: fault.detail })
    }
  }
  const all = addresses.map(openOne)
  try {
    await anyOpened(all, pool)
    await Promise.race([Promise.all(all), deps.clock.sleep(OTHERS_MS, both)])
    signal.throwIfAborted()
    if (pool.report().length === 0) throw failures.values().next().value?.error ?? problem('peer-unreachable', 'No source of the sync answered.')
  } catch (error) {
    ended.abort()
    throw error
  }
  return {
    pool,
    opened: () => answered,
    report() {
      const opened = pool.report()
      return addresses.flatMap(({ url }) => opened.find((source) => source.url === url) ?? failures.get(url)?.report ?? [])
    },
    [Symbol.dispose]: () => ended.abort(),
  }
}

/** Resolves when a source is in the pool, or when all have ended. */
async function anyOpened(all: readonly Promise<void>[], pool: SourcePool): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const one of all)
      void one.then(() => {
        if (pool.report().length > 0) resolve()
      })
    void Promise.all(all).then(() => resolve())
  })
}
