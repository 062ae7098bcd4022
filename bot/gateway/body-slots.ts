// Places for requests of uploads.

import { createSlots } from '../system/slots.ts'
import type { Slots } from '../system/slots.ts'

/** Most requests of uploads at the same time, and most of one link: the second of a link ends the first, so more are not needed. */
export const REQUESTS_MAX = 512
export const REQUESTS_PER_LINK_MAX = 8

/** Creates the places of a process. */
export function createBodySlots(): Slots {
  return createSlots({ max: REQUESTS_MAX, perKeyMax: REQUESTS_PER_LINK_MAX })
}
