// `image sync I… to=S,S`: each target store pulls the slices that it lacks from a store that has the image.

import { problem } from '../../../protocol/problems.ts'
import { SYNC_SOURCES_MAX } from '../../../protocol/sync.ts'
import type { FollowedTask } from '../../views/view.ts'
import { asSentence, statusWord } from '../../views/phrases.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { oneStore } from '../select.ts'
import { findImages } from './find.ts'
import type { FoundImage } from './find.ts'
import { statusAdvice } from './image-rows.ts'
import { orderSync } from './order-sync.ts'
import { tasksView } from '../task/task-view.ts'

export const imageSync = defineCommand({
  noun: 'image',
  verb: 'sync',
  summary: 'Copies images to other stores; only missing slices are sent',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image', many: true }],
  options: {
    to: { about: 'stores to copy to, separated by commas', value: 'S,S', subject: 'store' },
    from: {
      about: 'stores to copy from, separated by commas; each target uses all that have the image, and they share the targets',
      value: 'S,S',
      subject: 'store',
    },
  },
  examples: ['image sync debian-12 to=edge-b', 'image sync debian-12 alpine to=edge-b,edge-c', 'image sync debian-12 to=site-1,site-2 from=edge-b,edge-c'],
  async run(context, { targets, options }) {
    const receivers = storesIn(context, options.to)
    if (receivers.length === 0) throw problem('invalid-input', 'image sync needs to=.', { action: 'Name the stores to copy to: to=edge-b,edge-c.' })
    const named = storesIn(context, options.from)
    const sources = named.length === 0 ? context.fleet.registry.list() : named
    const notes: string[] = []
    const images: FoundImage[][] = []
    for (const target of targets) {
      const { found, notes: gaps } = await findImages(context, target, sources)
      images.push(copiesOf(target, found, gaps))
      notes.push(...gaps)
    }
    const tasks: FollowedTask[] = []
    for (const [turn, receiver] of receivers.entries()) {
      const orders = new Map<string, { readonly from: readonly StoreRecord[]; readonly ids: string[] }>()
      for (const copies of images) {
        // Stores that nobody named would all be asked for a grant.
        const from = chooseSources(copies, receiver, turn).slice(0, named.length === 0 ? 1 : SYNC_SOURCES_MAX)
        const [first] = from
        if (!first) {
          notes.push(`${copies[0]?.image.name ?? 'The image'} is in ${receiver.name} only: there is nothing to copy.`)
          continue
        }
        const key = from.map(({ store }) => store.name).join(',')
        const order = orders.get(key) ?? { from: from.map(({ store }) => store), ids: [] }
        orders.set(key, order)
        order.ids.push(first.image.id)
      }
      for (const {
        from: [source, ...others],
        ids,
      } of orders.values())
        if (source) tasks.push(await orderSync(context, { source, others, target: receiver, images: ids }))
    }
    const label = images.map((copies) => copies[0]?.image.name ?? '').join(', ')
    if (tasks.length === 0) throw problem('conflict', notes.join(' '), { action: 'Name a store in to= that does not have it yet.' })
    return tasksView(`Sync of ${label} to ${receivers.map((store) => store.name).join(', ')}`, tasks, context.clock.nowMs(), [...new Set(notes)])
  },
})

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

/** The stores in a list of names separated by commas, each once. */
function storesIn(context: CommandContext, list = ''): StoreRecord[] {
  const names = list.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
  return [...new Map(names.map((name) => oneStore(context, name)).map((store) => [store.name, store])).values()]
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
