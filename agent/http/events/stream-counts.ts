// How many streams of events are open, in total and by token.

import { problem } from '../../../protocol/problems.ts'

/** Most concurrent streams, in total and for one token. */
export const STREAMS_MAX = 100
export const STREAMS_PER_TOKEN_MAX = 10
/** Most concurrent streams that also send the state of the store: each of them reads it again and again. */
export const STATE_STREAMS_MAX = 16

export interface StreamCounts {
  /** Counts a stream until the returned function is called. Throws ProblemError `limit-reached`. */
  enter(key: string, hasState: boolean): () => void
}

/** Creates the counts. The key stands for a token. */
export function createStreamCounts(): StreamCounts {
  const counts = new Map<string, number>()
  let total = 0
  let states = 0
  return {
    enter(key, hasState) {
      const own = counts.get(key) ?? 0
      if (own >= STREAMS_PER_TOKEN_MAX)
        throw problem('limit-reached', `${STREAMS_PER_TOKEN_MAX} clients already follow the events with this token.`, {
          action: 'Close unused streams, or use a separate token for each client.',
        })
      if (total >= STREAMS_MAX) throw problem('limit-reached', `${STREAMS_MAX} clients already follow the events.`)
      if (hasState && states >= STATE_STREAMS_MAX)
        throw problem('limit-reached', `${STATE_STREAMS_MAX} clients already follow the state of the store.`, {
          action: 'Close unused streams, or leave out state=true.',
        })
      total++
      if (hasState) states++
      counts.set(key, own + 1)
      return () => {
        total--
        if (hasState) states--
        const left = (counts.get(key) ?? 0) - 1
        if (left > 0) counts.set(key, left)
        else counts.delete(key)
      }
    },
  }
}
