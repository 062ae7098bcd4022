// `store list`: every registered store in its present state.

import { formatTime } from '../../../../protocol/time.ts'
import { seeStores } from '../../../fleet/see.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Action } from '../../../../protocol/views/view.ts'
import { plural } from '../../../../protocol/views/phrases.ts'
import { quoteOption } from '../../../views/quote.ts'
import { defineCommand } from '../../command.ts'
import { FRESH_FLAG, oldestAsOf, someStores } from '../../select.ts'
import { fullStoreRow, parseColumns } from './list-columns.ts'
import { maintenanceNotes, stateCounts, stateNotes, storeJson, worstActions } from './store-rows.ts'

export const storeList = defineCommand({
  noun: 'store',
  verb: 'list',
  summary: 'Lists the stores with state, zone, space and what deduplication saves',
  role: 'viewer',
  effect: 'read',
  options: {
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    columns: { about: 'all, or the columns to show, such as scope,hypervisors', value: 'all|NAME,NAME' },
  },
  flags: FRESH_FLAG,
  examples: ['store list', 'store list zone=zone-1', 'store list columns=all'],
  async run(context, { options, flags }) {
    const columns = parseColumns(options.columns)
    const seen = await seeStores(context, someStores(context, undefined, options.zone), flags.has('fresh'))
    const nowMs = context.clock.nowMs()
    const asOfMs = oldestAsOf(seen, nowMs)
    if (seen.length === 0) {
      return makeView({
        title: 'Stores',
        text: 'No store is registered yet. Add one: store add name=… url=http://HOST:8420 token=… zone=…',
        actions: [{ label: 'Add a store', command: 'store add', role: 'admin', style: 'primary' }],
        asOfMs,
        json: { items: [], asOf: formatTime(asOfMs) },
      })
    }
    return makeView({
      title: options.zone === undefined ? 'Stores' : `Stores of ${options.zone}`,
      text: `${plural(seen.length, 'store')}: ${stateCounts(seen)}`,
      columns,
      rows: seen.map((one) => fullStoreRow(context, one, nowMs)),
      notes: [...stateNotes(seen), ...maintenanceNotes(seen, nowMs)],
      actions: [...worstActions(seen, nowMs), ...(options.columns === undefined ? [allColumns(options.zone)] : [])],
      asOfMs,
      json: { items: seen.map((one) => ({ ...storeJson(one, nowMs), hypervisors: context.hypervisors.of(one.record.name) })), asOf: formatTime(asOfMs) },
    })
  },
})

/** The same list with every column. */
function allColumns(zone: string | undefined): Action {
  return { label: 'All columns', command: `store list ${zone === undefined ? '' : `${quoteOption('zone', zone)} `}columns=all`, role: 'viewer' }
}
