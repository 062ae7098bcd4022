// `audit verify`: checks the hash chain of the audit log, and that it still contains a head that was kept elsewhere.

import { formatTime } from '../../../protocol/time.ts'
import type { ChainFault } from '../../audit/chain.ts'
import { longLogNote } from '../../audit/size.ts'
import { verifyChain } from '../../audit/verify.ts'
import type { ChainVerdict } from '../../audit/verify.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { parseHead, spellHead } from './row-options.ts'

/** What to do when the log is not what was written. */
const NEXT = 'Keep a copy of the database of the bot as it is, find out who can write it (docs/security.md), and compare it with an export or a backup.'

export const auditVerify = defineCommand({
  noun: 'audit',
  verb: 'verify',
  summary: 'Checks that no entry of the audit log was changed, removed, inserted or moved',
  role: 'operator',
  effect: 'read',
  options: { head: { about: 'a head that was printed earlier; checks that the log still contains it', value: 'N:HASH' } },
  examples: ['audit verify'],
  async run(context, { options }) {
    const kept = options.head === undefined ? undefined : parseHead(options.head)
    const verdict = await verifyChain(context.audit, context.clock, kept, context.signal)
    const asOfMs = context.clock.nowMs()
    if (verdict.kind === 'intact') return intactView(verdict, options.head, asOfMs)
    const text =
      verdict.kind === 'broken'
        ? faultText(verdict.fault)
        : `The entries fit to one another, but the head ${options.head} is not among them: the log was replaced, or cut and continued.`
    return makeView({
      title: 'The audit log is not intact',
      outcome: 'failed',
      tone: 'bad',
      text,
      fields: [{ label: 'Next', value: NEXT }],
      asOfMs,
      json: { intact: false, fault: verdict.kind === 'broken' ? verdict.fault : { kind: 'replaced' }, detail: text, asOf: formatTime(asOfMs) },
    })
  },
})

function intactView({ head }: ChainVerdict & { kind: 'intact' }, kept: string | undefined, asOfMs: number): View {
  const note = longLogNote(head.seq)
  return makeView({
    title: 'The audit log is intact',
    tone: 'good',
    text: `${plural(head.seq, 'entry', 'entries')}, none changed, removed, inserted or moved${kept === undefined ? '' : '; the head that you gave is among them'}.`,
    fields: [{ label: 'Head', value: spellHead(head) }],
    notes: [
      ...(note === undefined ? [] : [note]),
      'Keep the head outside of this machine. Somebody who can write the database can build another chain that fits; audit verify head=… shows it, and so does the log of the service.',
    ],
    asOfMs,
    json: { intact: true, entries: head.seq, head: spellHead(head), asOf: formatTime(asOfMs) },
  })
}

function faultText(fault: ChainFault): string {
  switch (fault.kind) {
    case 'changed':
      return `Entry ${fault.seq} was changed, or another one is in its place. The entries before it are intact; those after it cannot be relied on.`
    case 'missing':
      return `${fault.seq === fault.to ? `Entry ${fault.seq} is` : `Entries ${fault.seq} to ${fault.to} are`} missing. The entries before are intact.`
    case 'added':
      return `Entry ${fault.seq} was not written by the bot.`
    case 'head':
      return `The recorded head of the log is missing, or is not the hash of entry ${fault.seq}.`
  }
}
