// Orders copies of images to other stores: finds the stores that have each image, and starts one sync in each target for all images that come from
// the same stores.

import { problem } from '../../../../protocol/problems.ts'
import { SYNC_SOURCES_MAX } from '../../../../protocol/sync/sync.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { asSentence, statusWord } from '../../../../protocol/views/phrases.ts'
import type { FollowedTask } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { refusedKinds } from '../../placement.ts'
import { findImages } from '../find.ts'
import type { FoundImage } from '../find.ts'
import { statusAdvice } from '../list/image-rows.ts'
import { orderSync } from './order-sync.ts'
import type { SyncOrder } from './order-sync.ts'

export interface CopiesOrder {
  /** Names or ids of images, or the copies of each image that are known already. */
  readonly images: readonly (string | readonly FoundImage[])[]
  readonly targets: readonly StoreRecord[]
  /** Stores to copy from: a target uses all of them that have the image. Undefined for any store: a target then uses one. */
  readonly sources: readonly StoreRecord[] | undefined
  readonly request?: SyncOrder['request']
}

export interface OrderedCopies {
  readonly tasks: readonly FollowedTask[]
  /** Names of the images, separated by commas. */
  readonly label: string
  readonly notes: readonly string[]
}

/** A copy of some images that come from the same stores to one target. */
export interface PlannedCopies {
  readonly source: StoreRecord
  readonly others: readonly StoreRecord[]
  readonly target: StoreRecord
  readonly images: readonly FoundImage['image'][]
}

export interface CopiesPlan extends Omit<OrderedCopies, 'tasks'> {
  readonly orders: readonly PlannedCopies[]
}

/** Orders copies. Throws ProblemError when an image is not found, or when every target has all of them from nowhere else. */
export async function orderCopies(context: CommandContext, order: CopiesOrder): Promise<OrderedCopies> {
  const { orders, label, notes } = await planCopies(context, order)
  return { tasks: await orderPlanned(context, orders, order.request), label, notes }
}

/** Starts one sync for each planned copy. */
export async function orderPlanned(context: CommandContext, orders: readonly PlannedCopies[], request: SyncOrder['request']): Promise<FollowedTask[]> {
  const tasks: FollowedTask[] = []
  for (const order of orders) tasks.push(await orderSync(context, { ...order, images: order.images.map(({ id }) => id), ...(request ? { request } : {}) }))
  return tasks
}

/** Decides which store copies which images from where. Throws as `orderCopies` does. */
export async function planCopies(context: CommandContext, { images, targets, sources }: CopiesOrder): Promise<CopiesPlan> {
  const notes: string[] = []
  const found: FoundImage[][] = []
  for (const text of images) {
    if (typeof text !== 'string') {
      found.push(copiesOf(text[0]?.image.id ?? '', text, []))
      continue
    }
    const { found: copies, notes: gaps } = await findImages(context, text, sources ?? context.fleet.registry.list())
    found.push(copiesOf(text, copies, gaps))
    notes.push(...gaps)
  }
  const planned: PlannedCopies[] = []
  for (const [turn, target] of targets.entries()) {
    const orders = new Map<string, PlannedCopies & { readonly images: FoundImage['image'][] }>()
    for (const copies of found) {
      // Stores that nobody named would all be asked for a grant.
      const [first, ...others] = chooseSources(copies, target, turn).slice(0, sources ? SYNC_SOURCES_MAX : 1)
      if (!first) {
        notes.push(`${copies[0]?.image.name ?? 'The image'} is in ${target.name} only: there is nothing to copy.`)
        continue
      }
      const refusal = refusedKinds(context, target, { kind: first.image.kind })
      if (refusal !== undefined) {
        notes.push(`${first.image.name} is not copied there: ${refusal}`)
        continue
      }
      const stores = others.map(({ store }) => store)
      const key = [first.store, ...stores].map(({ name }) => name).join(',')
      const order = orders.get(key) ?? { source: first.store, others: stores, target, images: [] }
      order.images.push(first.image)
      orders.set(key, order)
    }
    planned.push(...orders.values())
  }
  const label = found.map((copies) => copies[0]?.image.name ?? '').join(', ')
  if (planned.length === 0) throw problem('conflict', notes.join(' '), { action: 'Name a store in to= that takes it and does not have it yet.' })
  return { orders: planned, label, notes: [...new Set(notes)] }
}

/** The readable copies of the one image that the text names, undamaged copies first. */
function copiesOf(text: string, found: readonly FoundImage[], notes: readonly string[]): FoundImage[] {
  const ids = [...new Set(found.map(({ image }) => image.id))]
  if (ids.length === 0) throw problem('not-found', [`No store has an image "${text}".`, ...notes].join(' '), { action: 'List them with image list.' })
  if (ids.length > 1)
    throw problem('conflict', `${ids.length} images match "${text}": ${found.map(({ image, store }) => `${image.id} in ${store.name}`).join(', ')}.`, {
      action: 'Use the id, or add from=STORE.',
    })
  const readable = found.filter(({ image }) => image.status === 'available' || image.status === 'degraded')
  const [first] = found
  if (readable.length === 0 && first) {
    throw problem(
      'wrong-status',
      `${first.image.name} is ${statusWord(first.image.status)} in ${first.store.name}: ${asSentence(first.image.statusReason ?? 'it cannot be copied now')}`,
      { action: statusAdvice(first) ?? 'Wait until it is Available.' },
    )
  }
  // A degraded copy may lack slices.
  return readable.toSorted((a, b) => Number(a.image.status === 'degraded') - Number(b.image.status === 'degraded'))
}

/**
 * The copies in other stores, undamaged ones first. The agent of the receiver finds out which slices it lacks. Receivers in turn get different stores
 * first, because a target that knows no rates yet starts with the first.
 */
function chooseSources(copies: readonly FoundImage[], receiver: StoreRecord, turn: number): FoundImage[] {
  const others = copies.filter(({ store }) => store.name !== receiver.name)
  const whole = others.filter(({ image }) => image.status !== 'degraded')
  const at = turn % Math.max(1, whole.length)
  return [...whole.slice(at), ...whole.slice(0, at), ...others.filter(({ image }) => image.status === 'degraded')]
}
