// `image sync I… to=S,S`: each target store pulls the slices that it lacks from a store that has the image.

import { problem } from '../../../protocol/problems.ts'
import type { FollowedTask } from '../../views/view.ts'
import { asSentence, statusWord } from '../../views/phrases.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { defineCommand } from '../command.ts'
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
    from: { about: 'store to copy from, when several have the image', value: 'S', subject: 'store' },
  },
  examples: ['image sync debian-12 to=edge-b', 'image sync debian-12 alpine to=edge-b,edge-c'],
  async run(context, { targets, options }) {
    const listed = (options.to ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
    if (listed.length === 0) throw problem('invalid-input', 'image sync needs to=.', { action: 'Name the stores to copy to: to=edge-b,edge-c.' })
    const receivers = [...new Map(listed.map((name) => oneStore(context, name)).map((store) => [store.name, store])).values()]
    const sources = options.from === undefined ? context.fleet.registry.list() : [oneStore(context, options.from)]
    const notes: string[] = []
    const images: FoundImage[][] = []
    for (const target of targets) {
      const { found, notes: gaps } = await findImages(context, target, sources)
      images.push(copiesOf(target, found, gaps))
      notes.push(...gaps)
    }
    const tasks: FollowedTask[] = []
    for (const receiver of receivers) {
      const orders = new Map<StoreRecord, string[]>()
      for (const copies of images) {
        const source = chooseSource(copies, receiver)
        if (!source) notes.push(`${copies[0]?.image.name ?? 'The image'} is in ${receiver.name} only: there is nothing to copy.`)
        else orders.set(source.store, [...(orders.get(source.store) ?? []), source.image.id])
      }
      for (const [source, ids] of orders) tasks.push(await orderSync(context, { source, target: receiver, images: ids }))
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

/** A copy in another store. The agent of the receiver finds out which slices it lacks. */
function chooseSource(copies: readonly FoundImage[], receiver: StoreRecord): FoundImage | undefined {
  return copies.find(({ store }) => store.name !== receiver.name)
}
