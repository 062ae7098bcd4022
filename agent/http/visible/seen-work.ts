// Which tasks and events a caller may see: those about the store, and those about images that it may see.

import type { StoreEvent } from '../../../protocol/event.ts'
import type { Page } from '../../../protocol/page.ts'
import type { Task, TaskKind } from '../../../protocol/task.ts'
import { mentionedImages } from './image-mentions.ts'
import type { SeenImages } from './image-mentions.ts'

/** Tasks about the store as a whole. All others are about images, which they may mention by a name only. */
const STORE_TASKS: ReadonlySet<string> = new Set<TaskKind>(['gc', 'scrub', 'cleanup', 'expire', 'recover'])
/** Items that are read at once while a page is collected. */
const CHUNK = 200

/** Whether a caller may see a task. Who ordered it sees it also while its image does not exist yet, or no longer. */
export function isTaskSeen(task: Task, seen: SeenImages, isOwn: () => boolean): boolean {
  if (seen.isComplete) return true
  if (isOwn()) return !seen.isHiddenFrom(task)
  if (!STORE_TASKS.has(task.kind) && mentionedImages(task).length === 0) return false
  return seen.hasAllOf(task)
}

/** Whether a caller may see an event. */
export function isEventSeen(event: StoreEvent, seen: SeenImages): boolean {
  if (seen.isComplete) return true
  const { kind } = event.details
  // Every other event about an image has its id.
  const isOfImageTask = event.type.startsWith('task.') && typeof kind === 'string' && !STORE_TASKS.has(kind)
  if (isOfImageTask && mentionedImages(event).length === 0) return false
  return seen.hasAllOf(event)
}

/** A page of a longer list, and what is left out of it. */
export interface SeenPageOrder<Item> {
  /** Returns a page of all items after the cursor. */
  readonly list: (limit: number, cursor: string | undefined) => Page<Item>
  readonly isSeen: (item: Item) => boolean
  readonly limit: number
  readonly cursor: string | undefined
  /** Lets other work run. Called between reads. */
  readonly pause: () => Promise<void>
}

/** Returns a page of the items that a caller may see. `next` is null when no such item follows, whatever else does. */
export async function pageOfSeen<Item>({ list, isSeen, limit, cursor, pause }: SeenPageOrder<Item>): Promise<Page<Item>> {
  const items: Item[] = []
  let next: string | null = null
  for (let from = cursor; ;) {
    const chunk = list(CHUNK, from)
    for (const [i, item] of chunk.items.entries()) {
      if (!isSeen(item)) continue
      if (items.length === limit) return { items, next }
      items.push(item)
      if (items.length === limit) next = list(i + 1, from).next
    }
    if (chunk.next === null) return { items, next: null }
    from = chunk.next
    await pause()
  }
}
