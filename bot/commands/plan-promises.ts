// What the plans of destroying and moving commands promise: bytes, copies that stay, and about how long the work takes.

import { syncResultSchema } from '../../protocol/sync/sync.ts'
import type { Task } from '../../protocol/task.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { PlanPromise } from '../approvals/plans.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { formatBytes, plural } from '../../protocol/views/phrases.ts'
import type { CommandContext } from './command.ts'
import type { ApprovalNeed } from './second-person.ts'
import type { FoundImage } from './image/find.ts'
import { findRemaining } from './store/delete/delete-copies.ts'
import type { StayingCopy } from './store/delete/delete-copies.ts'

/** About the time in which an agent deletes one image, in milliseconds: a journal entry and a few fsyncs on a slow disk. */
export const REMOVAL_MS = 100
/** Images whose other copies are named; the rest is counted. */
const NAMED_MAX = 5
/** Tasks of a store that are searched for the rate of its last copy. */
const TASKS_READ_MAX = 100

/** Whether somebody would miss the bytes of an image: those of an upload that never finished are no copy of anything. */
function hasContent({ image }: FoundImage): boolean {
  return (image.digest ?? image.manifestDigest) !== null
}

export interface Copies {
  readonly promise: PlanPromise
  /** The images that exist nowhere else, as far as the stores answered. */
  readonly sole: readonly FoundImage[]
  /** Stores that did not tell what they have. */
  readonly gaps: readonly string[]
}

/** Asks all stores which images have undamaged copies besides those that would be deleted. */
export async function otherCopies(context: CommandContext, found: readonly FoundImage[]): Promise<Copies> {
  const going = new Set(found.map(({ store, image }) => `${store.name} ${image.id}`))
  const remaining = await findRemaining(context, found, context.fleet.registry.list())
  const stays = ({ store, id }: StayingCopy): boolean => !going.has(`${store} ${id}`)
  const copies = found.map((one) => ({
    one,
    stores: [
      ...new Set(
        remaining
          .copiesOf(one.image)
          .filter(stays)
          .map(({ store }) => store),
      ),
    ],
  }))
  const sole = copies.filter(({ one, stores }) => stores.length === 0 && hasContent(one)).map(({ one }) => one)
  const words = copies.slice(0, NAMED_MAX).map(({ one, stores }) => `${one.image.name}: ${copyWords(one, stores)}`)
  const value =
    copies.length > NAMED_MAX
      ? `${plural(sole.length, 'only copy', 'only copies')} among ${plural(copies.length, 'image')}; ${words.join('; ')}`
      : words.join('; ')
  return { promise: { label: 'Other copies', value }, sole, gaps: sole.length > 0 ? remaining.gaps : [] }
}

function copyWords(one: FoundImage, stores: readonly string[]): string {
  if (stores.length > 0) return `in ${stores.slice(0, NAMED_MAX).join(', ')}${stores.length > NAMED_MAX ? ` and ${stores.length - NAMED_MAX} more stores` : ''}`
  return hasContent(one) ? 'none, this is the only copy' : 'none, and it has no content'
}

/** Why deleting the only copies needs a second person; undefined when all of them have others. */
export function soleNeed(sole: readonly FoundImage[], found: readonly FoundImage[], isReversible: boolean): ApprovalNeed | undefined {
  if (sole.length === 0) return undefined
  const names = sole.slice(0, NAMED_MAX).map(({ image, store }) => `${image.name} in ${store.name}`)
  const more = sole.length > names.length ? ` and ${plural(sole.length - names.length, 'more image')}` : ''
  const fate = isReversible ? 'can be restored only until its retention ends' : 'could not be restored'
  return {
    reason: `No other copy is known of ${names.join(', ')}${more}; what is deleted ${fate}.`,
    subjects: found.map(({ image, store }) => ({ kind: 'image', store: store.name, id: image.id, name: image.name })),
    isReversible,
  }
}

/** How long the images are, and about how long it takes to delete them. */
export function removalPromises(found: readonly FoundImage[]): PlanPromise[] {
  const length = found.reduce((sum, { image }) => sum + image.length, 0)
  return [
    { label: 'Bytes', value: `${plural(found.length, 'image')}, ${formatBytes(length)} long` },
    { label: 'Duration', value: `about ${formatDuration(Math.max(1000, found.length * REMOVAL_MS))}`, isEstimate: true },
  ]
}

/** Returns about how long a copy of these bytes to a store takes, at the rate of its last copy. */
export async function copyDuration(context: CommandContext, target: StoreRecord, bytes: number): Promise<PlanPromise> {
  const contact = await context.fleet.contact(target, (agent) => agent.tasks.list({ limit: TASKS_READ_MAX }))
  const rate = contact.kind === 'answered' ? contact.value.items.map(copyRate).find((known) => known !== undefined) : undefined
  const value =
    rate === undefined
      ? `not known: ${target.name} remembers no copy that tells its rate`
      : `at most about ${formatDuration(Math.max(1000, (1000 * bytes) / rate))}, at the ${formatBytes(Math.round(rate))}/s of its last copy`
  return { label: 'Duration', value, isEstimate: true }
}

/** Bytes per second of a copy that has ended; undefined when it moved nothing, or in no time. */
function copyRate({ kind, state, createdAt, endedAt, result }: Task): number | undefined {
  if (kind !== 'sync' || state !== 'succeeded' || endedAt === null) return undefined
  const parsed = syncResultSchema.safeParse(result)
  const seconds = (Date.parse(endedAt) - Date.parse(createdAt)) / 1000
  const moved = parsed.success ? parsed.data.bytesMoved : 0
  return moved > 0 && seconds > 0 ? moved / seconds : undefined
}
