// `audit export`: every entry with its hash, as JSON lines in a file of this machine (console) or as a page of JSON.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatSize } from '../../../protocol/units.ts'
import { PAGE_ROWS } from '../../audit/verify.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { CommandContext, FileWriter } from '../command.ts'
import { defineCommand } from '../command.ts'
import { parseCount } from '../option-values.ts'
import { rowJson, spellHead } from './row-options.ts'

export const auditExport = defineCommand({
  noun: 'audit',
  verb: 'export',
  summary: 'Writes the audit log with its hash chain to a file, or shows a page of it as JSON',
  role: 'operator',
  effect: 'read',
  targets: [{ name: 'PATH', about: 'new file of this machine, in the console only', subject: 'path', optional: true }],
  options: {
    from: { about: 'first entry, 1 by default', value: 'N' },
    limit: { about: `entries of a page, ${PAGE_ROWS} by default and at most`, value: 'N' },
  },
  examples: ['audit export audit.jsonl', 'audit export from=1001 --json'],
  run(context, { targets, options }) {
    const from = options.from === undefined ? 1 : parseCount('from', options.from, 1, Number.MAX_SAFE_INTEGER)
    const limit = options.limit === undefined ? PAGE_ROWS : parseCount('limit', options.limit, 1, PAGE_ROWS)
    const [path] = targets
    if (path === undefined) return Promise.resolve(pageView(context, from, limit))
    if (!context.fileWriter)
      throw problem('invalid-input', 'Files are written from the console only.', { action: 'Leave out the path, and add --json for a page of entries.' })
    if (options.limit !== undefined) throw problem('invalid-input', 'limit= applies to pages only.', { action: 'Leave it out, or leave out the path.' })
    return writeFile(context, context.fileWriter, path, from)
  },
})

function pageView({ audit, clock }: CommandContext, from: number, limit: number): View {
  const asOfMs = clock.nowMs()
  const { rows, head } = audit.page(from - 1, limit)
  const next = rows.length === limit ? (rows.at(-1)?.seq ?? from) + 1 : null
  return makeView({
    title: 'Export of the audit log',
    text: `${plural(rows.length, 'entry', 'entries')} from ${from} on. Add --json to see them with their hashes, or a path in the console to write all of them to a file.`,
    fields: head ? [{ label: 'Head', value: spellHead(head) }] : [],
    asOfMs,
    json: { items: rows.map(rowJson), next, head: head ? spellHead(head) : null, asOf: formatTime(asOfMs) },
  })
}

async function writeFile({ audit, clock }: CommandContext, writer: FileWriter, path: string, from: number): Promise<View> {
  let last = { seq: from - 1, hash: '' }
  let count = 0
  const pieces = async function* (): AsyncGenerator<string> {
    // Entries that are appended meanwhile are not written: the file ends at the head of its start.
    const end = audit.head()?.seq ?? 0
    while (last.seq < end) {
      const rows = audit.page(last.seq, Math.min(PAGE_ROWS, end - last.seq)).rows.filter(({ seq }) => seq <= end)
      const newest = rows.at(-1)
      if (!newest) return
      last = newest
      count += rows.length
      yield rows.map((row) => `${JSON.stringify(rowJson(row))}\n`).join('')
    }
  }
  const written = await writer.write(path, pieces())
  const asOfMs = clock.nowMs()
  return makeView({
    title: 'Audit log exported',
    text: `${plural(count, 'entry', 'entries')} in ${written.path}, ${formatSize(written.length)}.`,
    fields: count === 0 ? [] : [{ label: 'Last entry', value: spellHead(last) }],
    asOfMs,
    json: { path: written.path, length: written.length, entries: count, last: count === 0 ? null : spellHead(last), asOf: formatTime(asOfMs) },
  })
}
