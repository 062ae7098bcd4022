// Verifies the hash chain of the audit log in pages, so that a long log neither fills the memory nor blocks the bot.

import type { Clock } from '../system/clock.ts'
import type { Audit } from './audit.ts'
import { CHAIN_START, findEndFault, findFault } from './chain.ts'
import type { ChainFault, ChainHead } from './chain.ts'

/** Rows read at a time. */
export const PAGE_ROWS = 1000

/** The whole chain up to its head. A chain that is intact may still not contain the head that an operator kept. */
export type ChainVerdict =
  | { readonly kind: 'intact'; readonly head: ChainHead }
  | { readonly kind: 'broken'; readonly fault: ChainFault }
  /** The rows fit to one another, but the kept head is not among them: the log was replaced, or cut and continued. */
  | { readonly kind: 'replaced'; readonly head: ChainHead }

/** Verifies every row. Rows that are appended meanwhile are verified too. `kept` is a head that was noted earlier. */
export async function verifyChain(audit: Pick<Audit, 'page'>, clock: Pick<Clock, 'sleep'>, kept?: ChainHead, signal?: AbortSignal): Promise<ChainVerdict> {
  let last = CHAIN_START
  let isKeptSeen = kept === undefined || (kept.seq === CHAIN_START.seq && kept.hash === CHAIN_START.hash)
  for (let from: number | undefined; ; from = last.seq) {
    const { rows, head } = audit.page(from, PAGE_ROWS)
    const fault = findFault(last, rows)
    if (fault) return { kind: 'broken', fault }
    isKeptSeen ||= rows.some(({ seq, hash }) => seq === kept?.seq && hash === kept.hash)
    last = rows.at(-1) ?? last
    if (rows.length === PAGE_ROWS) {
      await clock.sleep(0, signal)
      continue
    }
    const endFault = findEndFault(last, head)
    if (endFault) return { kind: 'broken', fault: endFault }
    const { seq, hash } = last
    return { kind: isKeptSeen ? 'intact' : 'replaced', head: { seq, hash } }
  }
}
