// What the commands of the audit log share: a row as JSON, and heads as they are spelled.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { ChainedRow, ChainHead } from '../../audit/chain.ts'

/** A row as `--json` and the export show it: every column that its hash covers, in that order, and the hash. */
export function rowJson(row: ChainedRow): Record<string, unknown> {
  const { seq, timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq, hash } = row
  return { seq, time: formatTime(timeMs), timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq, hash }
}

/** A head as it is printed, kept and given again: `17:0f3a…`. */
export function spellHead({ seq, hash }: ChainHead): string {
  return `${seq}:${hash}`
}

/** Parses a head that `audit verify` printed. Throws `invalid-input`. */
export function parseHead(text: string): ChainHead {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.toLowerCase())
  if (!match)
    throw problem('invalid-input', `head=${text} is not a head of the audit log.`, {
      action: 'Copy it from an earlier audit verify, or from the log of the service.',
    })
  return { seq: Number(match[1]), hash: match[2] ?? '' }
}
