// What people below operator see of events. The tokens of the bot see every image, and an event names images that these people may not see.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { KeptEvent } from '../../fleet/kept-events.ts'
import { UNKNOWN } from '../../../protocol/views/phrases.ts'

/** Events about a whole store, which name no image. */
const STORE_TYPES: ReadonlySet<string> = new Set([
  ...['health.changed', 'store.changed', 'store.enabled', 'store.disabled', 'schedule.changed'],
  ...['gc.freed', 'index.damaged', 'index.rebuilt'],
])
/** An id of an image, an upload, an export or a task. */
const ID = /(?:img|upl|exp|tsk)_/

/** Returns an event as a person with this role sees it: below operator without subject and message, unless it is about the whole store. */
export function visibleEvent(event: KeptEvent, role: Role): KeptEvent {
  if (roleIncludes(role, 'operator')) return event
  if (STORE_TYPES.has(event.type) && !ID.test(`${event.subject} ${event.message}`)) return event
  return { ...event, subject: UNKNOWN, message: 'An operator sees what it is about.' }
}
