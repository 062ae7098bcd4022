// `usage list`: how long images were available in each month, and what that costs.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { usageQuerySchema } from '../../../protocol/images/usage.ts'
import type { Usage } from '../../../protocol/images/usage.ts'
import { plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Row } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, someStores } from '../select.ts'
import { refuseIssue } from '../refused-value.ts'

export const usageList = defineCommand({
  noun: 'usage',
  verb: 'list',
  summary: 'Lists how long images were available in each month, and what that costs',
  role: 'operator',
  effect: 'read',
  options: {
    store: { about: 'name of a store; all stores by default', value: 'S', subject: 'store' },
    from: { about: 'first day or time in UTC; the start of the month by default', value: '2026-11-01' },
    to: { about: 'day or time in UTC at which the range ends; now by default', value: '2026-12-01' },
    owner: { about: 'one owner only', value: 'NAME' },
  },
  examples: ['usage list', 'usage list store=edge-a from=2026-10-01 to=2026-11-01 owner=ann'],
  async run(context, { options }) {
    const { store, from, to, owner } = options
    const query = usageQuerySchema.safeParse({ from, to, owner })
    if (!query.success) {
      const [issue] = query.error.issues
      const option = String(issue?.path[0] ?? '')
      const value = options[option as keyof typeof options] ?? ''
      if (option === 'owner') throw refuseIssue(option, value, issue)
      throw problem('invalid-input', `${option}=${value} is not a time.`, { action: 'Write a day like 2026-11-01, or a time like 2026-11-01T12:00:00Z.' })
    }
    const stores = someStores(context, store, undefined)
    // One row is enough: the sums cover the whole range.
    const contacts = await Promise.all(stores.map((one) => context.fleet.contact(one, (agent) => agent.usage({ from, to, owner, limit: 1 }))))
    const answers = contacts.flatMap((contact) => (contact.kind === 'answered' ? [{ store: contact.store.name, usage: contact.value }] : []))
    const damaged = answers.filter(({ usage }) => usage.damagedRecords > 0)
    return makeView({
      title: titleOf(owner, answers),
      ...(answers.length < stores.length ? { outcome: 'failed' as const, tone: 'bad' as const } : {}),
      text: stores.length === 0 ? 'No store is registered yet.' : `${plural(answers.length, 'store')}. Hours and months are those of UTC.`,
      columns: [
        { key: 'store', label: 'Store', isWhole: true },
        { key: 'month', label: 'Month', isWhole: true },
        { key: 'gbHours', label: 'GB-hours', align: 'right' },
        { key: 'stored', label: 'Stored GB-hours', align: 'right', isMinor: true },
        { key: 'price', label: 'Price per GB-month', align: 'right', isMinor: true },
        { key: 'cost', label: 'Cost', align: 'right' },
      ],
      rows: answers.flatMap(({ store: name, usage }) => usageRows(name, usage)),
      notes: [
        ...gapNotes(contacts, 'its images'),
        ...damaged.map(
          ({ store: name, usage }) => `${plural(usage.damagedRecords, 'record')} of removed images in ${name} cannot be read and may be missing from the sums.`,
        ),
      ],
      asOfMs: context.clock.nowMs(),
      json: {
        stores: answers.map(({ store: name, usage: { items: _items, next: _next, ...sums } }) => ({ store: name, ...sums })),
        missing: gapsJson(contacts),
        asOf: formatTime(context.clock.nowMs()),
      },
    })
  },
})

/** Names the owner that the order names, or the only one on whom the tokens of the stores allow a report. */
function titleOf(asked: string | undefined, answers: readonly { readonly usage: Usage }[]): string {
  const owners = new Set(asked === undefined ? answers.map(({ usage }) => usage.owner) : [asked])
  const [owner] = owners
  return owner === undefined || owners.size > 1 ? 'Usage' : `Usage of ${owner === '' || owner === null ? 'images without an owner' : owner}`
}

function usageRows(store: string, { months, total, pricePerGbMonth }: Usage): Row[] {
  const cells = ({ gbHours, storedGbHours, cost }: Usage['total']) => ({
    gbHours,
    stored: storedGbHours,
    price: pricePerGbMonth ?? UNKNOWN,
    cost: cost ?? UNKNOWN,
  })
  const rows = months.map((month) => ({ cells: { store, month: month.month, ...cells(month) } }))
  return months.length > 1 ? [...rows, { cells: { store, month: 'total', ...cells(total) } }] : rows
}
