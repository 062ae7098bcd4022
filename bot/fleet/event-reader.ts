// Follows the numbers of an agent's events: which are new, which were read before, and whether the agent's event log is still the one that
// was read before. A log that was restored from a backup gives numbers again that other events had.

import type { StoreEvent } from '../../protocol/event.ts'

/** Most events that are read after an interruption. Earlier ones are skipped: they are in the event log of the agent. */
export const BACKLOG_MAX = 500

/** Characters of type and subject that are compared, and kept. */
export const MARKED_MAX = 100

/** The last event that was read. */
export interface LastEvent {
  readonly id: number
  /** What tells it from another event with its number; undefined when it is not known. */
  readonly mark: string | undefined
}

/**
 * What an event means. `gap`: events before it are not known. `restart`: the event log is another one than before, so the stream is wanted again from
 * a new position.
 */
export type Reading = 'new' | 'repeat' | 'gap' | 'restart'

export interface EventReader {
  /** The Last-Event-ID of the next stream: one less than the last event, so that the stream begins with that event and it can be compared. */
  startId(): string | undefined
  /**
   * Takes the position of a state. Events up to it follow, or were read before. `behind`: there are more of them than BACKLOG_MAX, so the stream is
   * wanted again from a new position. `restart` as for events.
   */
  state(position: number): 'new' | 'behind' | 'restart'
  event(event: StoreEvent): Reading
  /** The number of the last event that was read; undefined before the first state. */
  lastId(): number | undefined
}

/** Returns what tells an event from another one with the same number; the same for an event as its agent sent it and as it is kept. */
export function eventMark(timeMs: number, type: string, subject: string): string {
  return `${timeMs} ${type.slice(0, MARKED_MAX)} ${subject.slice(0, MARKED_MAX)}`
}

/** Creates a reader that continues after an event. */
export function createEventReader(known: LastEvent | undefined): EventReader {
  let last = known
  let position = 0
  const leap = <Cause>(cause: Cause): Cause => {
    last = { id: Math.max(0, position - BACKLOG_MAX), mark: undefined }
    return cause
  }
  return {
    startId: () => (last === undefined ? undefined : String(Math.max(0, last.id - 1))),
    lastId: () => last?.id,
    state(at) {
      position = at
      last ??= { id: at, mark: undefined }
      if (at < last.id) return leap('restart')
      return at - last.id > BACKLOG_MAX ? leap('behind') : 'new'
    },
    event(event) {
      const id = Number(event.id)
      const mark = eventMark(Date.parse(event.time), event.type, event.subject)
      if (last === undefined) return 'repeat'
      if (id === last.id) {
        if (last.mark !== undefined && last.mark !== mark) return leap('restart')
        last = { id, mark }
        return 'repeat'
      }
      if (id < last.id) return 'repeat'
      const isNext = id === last.id + 1
      last = { id, mark }
      return isNext ? 'new' : 'gap'
    },
  }
}
