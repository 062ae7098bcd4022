// What other stores have of the images of stores that are to be removed, and the copies to make before they are.

import type { Image } from '../../../../protocol/images/image.ts'
import { failureOf } from '../../../fleet/store-failure.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import { plural } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { orderSync } from '../../image/copy/order-sync.ts'
import { gapNotes } from '../../select.ts'
import { followTasks, tasksView } from '../../task/task-view.ts'
import { list } from './delete-checks.ts'

/** Images of one sync. */
const SYNC_BATCH_MAX = 100

/** An image of a store that is to be removed. */
export interface LeavingImage {
  readonly store: StoreRecord
  readonly image: Image
}

/** What tells whether two images have the same bytes. */
export type Content = Pick<Image, 'digest' | 'manifestDigest'>

/** The same bytes in a store that stays. */
export interface StayingCopy {
  readonly store: string
  readonly id: string
}

export interface Remaining {
  /** Undamaged copies in the stores that stay. */
  copiesOf(image: Content): readonly StayingCopy[]
  /** Stores that did not tell what they have, as notes. */
  readonly gaps: readonly string[]
}

/** Asks the stores that stay for the images that the others have. Images with the same digest or manifest are the same. */
export async function findRemaining(
  context: CommandContext,
  leaving: readonly { readonly image: Content }[],
  staying: readonly StoreRecord[],
): Promise<Remaining> {
  const wanted = new Set(leaving.flatMap(({ image }) => namesOf(image)))
  const copies = new Map<string, Map<string, StayingCopy>>()
  if (wanted.size === 0) return { copiesOf: () => [], gaps: [] }
  const contacts = await context.fleet.contactAll(staying, async (agent, store) => {
    // What cannot be read there is no copy to count on.
    if ((await failureOf(agent, store))?.isUnreadable) return
    for await (const image of agent.images.all({ status: 'available' })) {
      if (image.status !== 'available') continue
      for (const name of namesOf(image)) if (wanted.has(name)) addCopy(copies, name, { store: store.name, id: image.id })
    }
  })
  return { copiesOf: (image) => namesOf(image).flatMap((name) => [...(copies.get(name)?.values() ?? [])]), gaps: gapNotes(contacts, 'its images') }
}

/** Adds a copy once: an agent that returns the same image again and again must not fill the memory. */
function addCopy(copies: Map<string, Map<string, StayingCopy>>, name: string, copy: StayingCopy): void {
  const known = copies.get(name) ?? new Map<string, StayingCopy>()
  copies.set(name, known.set(`${copy.store} ${copy.id}`, copy))
}

function namesOf({ digest, manifestDigest }: Content): string[] {
  return [digest, manifestDigest].filter((name) => name !== null)
}

/** Copies images to a store and waits until the last task has ended. Returns the tasks; the progress goes to `context.onInterim`. */
export async function copyAway(context: CommandContext, leaving: readonly LeavingImage[], target: StoreRecord): Promise<FollowedTask[]> {
  const started = await startCopies(context, leaving, target)
  let tasks = started
  for await (const view of followTasks(context, copyView(context, started, target), context.signal)) {
    tasks = [...view.progress]
    context.onInterim?.(view)
  }
  return tasks
}

/** Starts the copies. A target that copies the same images already returns that task. */
export async function startCopies(context: CommandContext, leaving: readonly LeavingImage[], target: StoreRecord): Promise<FollowedTask[]> {
  const tasks: FollowedTask[] = []
  for (const [source, images] of Map.groupBy(leaving, ({ store }) => store)) {
    for (let i = 0; i < images.length; i += SYNC_BATCH_MAX) {
      const batch = images.slice(i, i + SYNC_BATCH_MAX).map(({ image }) => image.id)
      tasks.push(await orderSync(context, { source, target, images: batch }))
    }
  }
  return tasks
}

export function copyView(context: CommandContext, tasks: readonly FollowedTask[], target: StoreRecord): ReturnType<typeof tasksView> {
  return tasksView(`Copy of ${plural(tasks.length, 'sync')} to ${target.name}`, tasks, context.clock.nowMs())
}

/** `2 images (a, b)`. */
export function namedImages(leaving: readonly { readonly image: Pick<Image, 'name'> }[]): string {
  return `${plural(leaving.length, 'image')} (${list(leaving.map(({ image }) => image.name))})`
}
