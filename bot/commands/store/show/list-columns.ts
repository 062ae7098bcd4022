// The columns of `store list`: those that fit a screen, those that are asked for, or all.

import { nearestName } from '../../../../protocol/nearest.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { Column, Row } from '../../../../protocol/views/view.ts'
import { UNKNOWN } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { listed } from '../edit/kinds.ts'
import { STORE_COLUMNS, storeRow } from './store-rows.ts'

const MORE_COLUMNS: readonly Column[] = [
  { key: 'protocol', label: 'Protocol' },
  { key: 'scope', label: 'Scope' },
  { key: 'kinds', label: 'Kinds' },
  { key: 'hypervisors', label: 'Hypervisors' },
  { key: 'description', label: 'Description' },
]
const ALL_COLUMNS: readonly Column[] = [...STORE_COLUMNS, ...MORE_COLUMNS]
/** Bound hypervisors that a row names. */
const NAMED_MAX = 5

/** Returns the columns that `columns=` names, the name of the store first. Throws `invalid-input` with the nearest name. */
export function parseColumns(text: string | undefined): readonly Column[] {
  if (text === undefined) return STORE_COLUMNS
  // A column that was asked for is shown on the narrowest terminal.
  const whole = ALL_COLUMNS.map(({ isMinor: _isMinor, ...column }) => column)
  if (text === 'all') return whole
  const keys = new Set(['name', ...text.split(',').map((key) => key.trim().toLowerCase())])
  const known = ALL_COLUMNS.map(({ key }) => key)
  const unknown = [...keys].find((key) => !known.includes(key))
  if (unknown === undefined) return [...keys].flatMap((key) => whole.filter((column) => column.key === key))
  const meant = nearestName(unknown, known)
  throw problem('invalid-input', `"${unknown}" is not a column.`, {
    action: meant === undefined ? `Columns: all, or any of ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

/** Returns the row of a store with the cells of all columns. */
export function fullStoreRow({ hypervisors }: Pick<CommandContext, 'hypervisors'>, seen: Observation, nowMs: number): Row {
  const row = storeRow(seen, nowMs)
  const { record, store } = seen
  const bound = hypervisors.of(record.name)
  return {
    ...row,
    cells: {
      ...row.cells,
      protocol: new URL(record.url).protocol.replace(':', ''),
      scope: store?.scope ?? UNKNOWN,
      kinds: store?.kinds ? listed(store.kinds.accepted) : UNKNOWN,
      hypervisors:
        bound.length === 0 ? UNKNOWN : `${bound.slice(0, NAMED_MAX).join(', ')}${bound.length > NAMED_MAX ? ` and ${bound.length - NAMED_MAX} more` : ''}`,
      description: store === null || store.description === '' ? UNKNOWN : store.description,
    },
  }
}
