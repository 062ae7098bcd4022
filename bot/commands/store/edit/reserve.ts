// The reserve of a store as commands write and show it.

import { problem } from '../../../../protocol/problems.ts'
import { RESERVED_BYTES_MAX } from '../../../../protocol/store.ts'
import type { Store } from '../../../../protocol/store.ts'
import { formatSize, parseSize } from '../../../../protocol/units.ts'
import type { Observation } from '../../../fleet/judge.ts'
import { plural } from '../../../../protocol/views/phrases.ts'

/** Word that applies the value of the configuration again. */
const RESET = 'configured'

/** Returns the bytes of reserved=; null for the value of the configuration. Throws `invalid-input`. */
export function parseReserved(text: string): number | null {
  if (text === RESET) return null
  const bytes = parseSize(text)
  if (bytes !== undefined && bytes <= RESERVED_BYTES_MAX) return bytes
  throw problem('invalid-input', `reserved=${text} is not a size of at most 1 PB.`, { action: `Write it as 50GB, or as ${RESET}.` })
}

/** `1.0 GB`, with what the configuration says if an operator changed it. */
export function reserveText({ capacity, reserve }: Pick<Store, 'capacity' | 'reserve'>): string {
  const now = formatSize(capacity.reserved)
  return reserve === undefined || reserve.bytes === reserve.configured ? now : `${now} (the configuration says ${formatSize(reserve.configured)})`
}

/** What breaks because the reserve leaves too little space; nothing while some is left. */
export function reserveWarning({ record, store, tasks }: Pick<Observation, 'record' | 'store' | 'tasks'>): string[] {
  if (!store || store.capacity.available > 0) return []
  const running = store.uploads.active + (tasks?.running ?? 0)
  const broken =
    running === 0 ? 'New images are refused' : `${plural(running, 'upload or task', 'uploads and tasks')} in progress may fail, and new images are refused`
  return [`${record.name} has no space above the reserve now. ${broken} until there is: lower reserved=, or make room.`]
}
