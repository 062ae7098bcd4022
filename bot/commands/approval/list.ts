// `approval list`: requests that wait for a second person; with `--all` also those that have ended.

import { formatTime } from '../../../protocol/time.ts'
import { approvalJson, approvalTone, approvalWord } from '../../approvals/approval-card.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { seesApproval } from './find.ts'

const COLUMNS: readonly Column[] = [
  { key: 'id', label: 'Request', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'title', label: 'What' },
  { key: 'by', label: 'Asked by', isWhole: true },
  { key: 'until', label: 'Until', isMinor: true },
  { key: 'decided', label: 'Decided by', isMinor: true },
]

export const approvalList = defineCommand({
  noun: 'approval',
  verb: 'list',
  summary: 'Lists requests that wait for the approval of a second person',
  role: 'operator',
  effect: 'read',
  examples: ['approval list', 'approval list --all'],
  flags: { all: 'also those that were decided or expired' },
  async run(context, { flags }) {
    const items = context.approvals.list(flags.has('all')).filter((approval) => seesApproval(context, approval))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: 'Requests for approval',
      text: items.length === 0 ? 'None.' : plural(items.length, 'request'),
      columns: items.length === 0 ? [] : COLUMNS,
      rows: items.map((approval) => ({
        tone: approvalTone(approval.state),
        cells: {
          id: String(approval.id),
          state: approvalWord(approval.state),
          title: approval.title,
          by: approval.requesterName,
          until: formatAt(approval.expiresMs),
          decided: approval.deciderName,
        },
      })),
      asOfMs,
      json: { items: items.map(approvalJson), asOf: formatTime(asOfMs) },
    })
  },
})
