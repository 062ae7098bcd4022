// Sessions of the agent's page. A person enters a token once; the browser then keeps a random secret that works for the page only. A session lives in
// memory: neither the token nor the secret is kept, only their hashes, and a restart of the agent ends all sessions.

import type { Actor } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import { hashSecret, isEqualConstantTime, newPageSecret } from './credentials.ts'

/** A session ends after this time without a request, in milliseconds. */
export const PAGE_IDLE_MS = 30 * 60_000
/** A session ends after this time in any case, in milliseconds. */
export const PAGE_LIFE_MS = 12 * 3_600_000
/** Most sessions of one token, and of all tokens; the one that was idle longest ends for a new one. */
export const PAGE_SESSIONS_PER_TOKEN_MAX = 10
export const PAGE_SESSIONS_MAX = 1000

export interface PageSessionsDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Returns the actor of the token with this hash while the token is valid. */
  readonly byHash: (hash: string) => Actor | undefined
}

export interface PageSessions {
  /** Begins a session with the secret of a token. Returns the session's secret; undefined when no valid token has the token's secret. */
  begin(token: string): Promise<string | undefined>
  /** Returns the actor of a session's token. A session ends with its token: when that expires, is deleted, or gets a new secret. */
  find(secret: string): Promise<Actor | undefined>
  /** Returns the text that proves that a form comes from a page of this session. Another site can neither read nor guess it. */
  formToken(secret: string): Promise<string>
  /** Ends a session if the text proves that the form comes from its page. Returns false, and ends nothing, if it does not. */
  end(secret: string, formToken: string): Promise<boolean>
}

interface Session {
  readonly tokenHash: string
  readonly startMs: number
  seenMs: number
}

/** Creates the sessions of a running agent. */
export function createPageSessions({ clock, byHash }: PageSessionsDeps): PageSessions {
  // In the order of their last use, by the hash of their secret.
  const sessions = new Map<string, Session>()

  const isOver = ({ startMs, seenMs }: Session, nowMs: number): boolean => nowMs - seenMs >= PAGE_IDLE_MS || nowMs - startMs >= PAGE_LIFE_MS
  const formToken = (secret: string): Promise<string> => hashSecret(`form ${secret}`)

  return {
    formToken,

    async begin(token) {
      const secret = newPageSecret()
      const [tokenHash, key] = [await hashSecret(token), await hashSecret(secret)]
      if (!byHash(tokenHash)) return undefined
      const nowMs = clock.monotonicMs()
      for (const [old, session] of sessions) if (isOver(session, nowMs)) sessions.delete(old)
      const ofToken = [...sessions].filter(([, session]) => session.tokenHash === tokenHash)
      const [idlest] = ofToken.length >= PAGE_SESSIONS_PER_TOKEN_MAX ? ofToken : sessions.size >= PAGE_SESSIONS_MAX ? sessions : []
      if (idlest) sessions.delete(idlest[0])
      sessions.set(key, { tokenHash, startMs: nowMs, seenMs: nowMs })
      return secret
    },

    async find(secret) {
      const key = await hashSecret(secret)
      const session = sessions.get(key)
      if (!session) return undefined
      const nowMs = clock.monotonicMs()
      const actor = isOver(session, nowMs) ? undefined : byHash(session.tokenHash)
      sessions.delete(key)
      if (!actor) return undefined
      session.seenMs = nowMs
      sessions.set(key, session)
      return actor
    },

    async end(secret, given) {
      if (!isEqualConstantTime(await formToken(secret), given)) return false
      sessions.delete(await hashSecret(secret))
      return true
    },
  }
}
