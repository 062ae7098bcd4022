// Turns at the uploads of the gateway: one request at a time for each upload. A new request ends the body of the one before it, whose client may be gone without
// a sign; what the agent has taken of that body stays. @tus/server waits for turns by spinning, and gives a silent client three seconds.

import type { Lock, Locker } from '@tus/utils'
import { problem } from '../../protocol/problems.ts'

/** How long a request waits for its turn, in milliseconds: the agent answers to a body that ended once what it had taken is on its disk. */
export const TURN_WAIT_MS = 20_000
/** Most requests that wait for the turn of one upload. */
export const WAITERS_MAX = 16

interface Turn {
  /** Ends the body of the request. */
  readonly end: () => void
  readonly over: Promise<void>
  waiting: number
}

export interface UploadTurns {
  /** Returns the locker of one request. `end` ends its body early. Its lock throws ProblemError `upload-locked`. */
  forRequest(key: string, end: () => void): Locker
  /** Number of uploads with a request in progress. */
  readonly held: number
}

export interface UploadTurnsDeps {
  readonly clock: { sleep(ms: number, signal?: AbortSignal): Promise<void> }
}

/** Creates the turns of a process. */
export function createUploadTurns({ clock }: UploadTurnsDeps): UploadTurns {
  const turns = new Map<string, Turn>()
  const take = async (key: string, end: () => void): Promise<() => void> => {
    const patience = new AbortController()
    const late = clock.sleep(TURN_WAIT_MS, patience.signal).then(
      () => true,
      () => true,
    )
    try {
      for (let held = turns.get(key); held; held = turns.get(key)) {
        if (held.waiting >= WAITERS_MAX) throw locked()
        held.waiting++
        held.end()
        const isLate = await Promise.race([held.over.then(() => false), late])
        if (isLate) {
          held.waiting--
          throw locked()
        }
      }
    } finally {
      patience.abort()
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    turns.set(key, { end, over: promise, waiting: 0 })
    return () => {
      turns.delete(key)
      resolve()
    }
  }
  return {
    forRequest: (key, end) => ({
      newLock(): Lock {
        let release = (): void => {}
        return {
          async lock() {
            release = await take(key, end)
          },
          unlock() {
            release()
            return Promise.resolve()
          },
        }
      },
    }),
    get held() {
      return turns.size
    },
  }
}

function locked(): Error {
  return problem('upload-locked', 'Other requests for this upload are in progress.', {}, { headers: { 'Retry-After': '5' } })
}
