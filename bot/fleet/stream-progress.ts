// What one item of a stream means for the events that are kept: goes through the reader into the inbox.

import type { StoreEvent } from '../../protocol/event.ts'
import type { EventReader } from './event-reader.ts'
import type { Inbox } from './inbox.ts'

/** The stream is wanted again from another position, which the reader knows. */
export class StreamRestart extends Error {
  override readonly name = 'StreamRestart'
}

/** Takes the position of a state. Throws StreamRestart. */
export function readPosition(inbox: Inbox, reader: EventReader, store: string, at: number): void {
  const isFirst = reader.lastId() === undefined
  const reading = reader.state(at)
  const position = reader.lastId() ?? at
  if (reading !== 'new') {
    inbox.read({ store, position, hasSkipped: true, isReset: reading === 'restart' })
    throw new StreamRestart()
  }
  if (isFirst) inbox.read({ store, position, hasSkipped: false, isReset: false })
}

/** Takes an event; one that was read before is skipped. Throws StreamRestart. */
export function readEvent(inbox: Inbox, reader: EventReader, store: string, event: StoreEvent): void {
  const reading = reader.event(event)
  if (reading === 'repeat') return
  const position = reader.lastId() ?? 0
  if (reading === 'restart') {
    inbox.read({ store, position, hasSkipped: true, isReset: true })
    throw new StreamRestart()
  }
  inbox.read({ store, position, event, hasSkipped: reading === 'gap', isReset: false })
}
