// What each person last asked before the page that is open now: a live page keeps saying what changed since then. Looking again for a live page is no question of
// the person, so it is neither remembered nor in the audit log.

import type { CommandContext } from '../../commands/command.ts'
import type { Asked, AskedBefore } from '../../fleet/asked.ts'

/** Questions, and shown addresses, that are remembered; the oldest are forgotten. */
const REMEMBERED_MAX = 2_000

export interface AskedMemory {
  /** The context of a request: remembers which question was the earlier one. */
  noting(context: CommandContext): CommandContext
  /** The context of a live page: answers as the request did, and leaves no trace if that request is in the audit log. Only for commands that change nothing. */
  recalling(context: CommandContext, isRecorded: boolean): CommandContext
  /** Remembers that a session was shown an address. */
  showed(session: string, url: URL): void
  hasShown(session: string, url: URL): boolean
}

/** Creates the memory, which lasts as long as the service. */
export function createAskedMemory(): AskedMemory {
  const remembered = new Map<string, Asked | undefined>()
  const shown = new Map<string, true>()
  const withAsked = (context: CommandContext, asked: (real: AskedBefore) => AskedBefore): CommandContext => {
    const { kept } = context.fleet
    return kept === undefined ? context : { ...context, fleet: { ...context.fleet, kept: { ...kept, asked: asked(kept.asked) } } }
  }
  return {
    noting: (context) =>
      withAsked(context, (real) => ({
        ask(person, scope, now) {
          const before = real.ask(person, scope, now)
          keep(remembered, `${person} ${scope}`, before)
          return before
        },
      })),
    recalling(context, isRecorded) {
      const recalled = withAsked(context, () => ({ ask: (person, scope) => remembered.get(`${person} ${scope}`) }))
      return isRecorded ? { ...recalled, audit: { ...context.audit, append: () => 0 } } : recalled
    },
    showed: (session, url) => keep(shown, keyOf(session, url), true),
    hasShown: (session, url) => shown.has(keyOf(session, url)),
  }
}

function keep<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > REMEMBERED_MAX && oldest !== undefined) map.delete(oldest)
}

/** A key of one length, however long the address is. */
function keyOf(session: string, { pathname, search }: URL): string {
  return new Bun.CryptoHasher('sha256').update(`${session} ${pathname}${search}`).digest('base64url')
}
