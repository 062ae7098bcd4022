// `image list`: images of one store or of all.

import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import type { ImageFilter, ImageOrder } from '../../../../protocol/images/image-list.ts'
import { formatTime } from '../../../../protocol/time.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { failureJson, failureText } from '../../../fleet/store-failure.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Action, Column, View } from '../../../../protocol/views/view.ts'
import { formatBytes, plural } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../../select.ts'
import { foundImages } from '../find.ts'
import type { FoundImage } from '../find.ts'
import { absentAmong, divideAbsent, heldJson, heldRow, listHeld, removedStores } from './held-images.ts'
import { IMAGE_COLUMNS, imageJson, imageRow, statusAdvice } from './image-rows.ts'
import type { ListedImage } from './image-rows.ts'
import { listWindow, WINDOW_NOTE } from './window.ts'
import { compareImages, LIST_FLAGS, LIST_OPTIONS, parseFilter, parseSort } from './list-options.ts'
import { withHealth } from './readable.ts'

/** Unavailable images whose reason a list shows. */
const UNAVAILABLE_NAMED_MAX = 5
/** Images of a list that have a button; the others are named in the command. */
const ACTIONS_MAX = 8
/** Images of one store that a list shows. */
const IMAGES_SHOWN_MAX = 5_000

export const imageList = defineCommand({
  noun: 'image',
  verb: 'list',
  summary: 'Lists images of one store or of all',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    ...LIST_OPTIONS,
  },
  flags: LIST_FLAGS,
  examples: ['image list', 'image list store=edge-a status=available', 'image list label=env=production memory=4GB sort=-length'],
  run(context, { options, flags }) {
    const { store, zone, ...words } = options
    const title = store === undefined ? 'Images' : `Images of ${store}`
    return listImages(context, {
      title,
      store,
      zone,
      filter: parseFilter(words),
      sort: parseSort(words.sort),
      columns: IMAGE_COLUMNS,
      isFresh: flags.has('fresh'),
    })
  },
})

/** Which images to list, and how. */
export interface ImageListing {
  readonly title: string
  readonly store?: string | undefined
  readonly zone?: string | undefined
  readonly filter: { readonly [Key in keyof ImageFilter]?: ImageFilter[Key] | undefined }
  /** Order of the images; by name without one. */
  readonly sort?: ImageOrder | undefined
  readonly columns: readonly Column[]
  /** What to do with an image of the list; none by default. */
  readonly action?: (found: ListedImage) => Action
  /** Whether every agent is asked, also where the catalogue has what it announced. */
  readonly isFresh: boolean
}

/** Lists images of one store, of a zone or of all stores; the View names the stores that did not answer or cannot read their files. */
export async function listImages(context: CommandContext, listing: ImageListing): Promise<View> {
  const { title, store, zone, filter, sort, columns, action } = listing
  const removed = store === undefined || context.fleet.registry.find(store) ? [] : removedStores(context, store)
  const stores = removed.length > 0 ? [] : someStores(context, store, zone)
  const window = listWindow(context, listing, stores)
  const { asked, absent } = divideAbsent(
    context,
    stores.filter(({ name }) => !window?.stores.has(name)),
    stores.length === 1,
  )
  const contacts = await context.fleet.contactAll(asked, (agent, record) => withHealth(agent, record, readImages(agent, filter, sort)))
  const silent = absentAmong(context, contacts)
  const held = listHeld(context, [...absent, ...silent, ...removed], filter)
  const gaps = contacts.filter((contact) => !silent.some(({ silence }) => silence?.store.name === contact.store.name))
  // A store that cannot read its files changes the status of its images after the agent filtered them.
  const found = foundImages(context, contacts).filter(({ image }) => filter.status === undefined || image.status === filter.status)
  const byName = (a: FoundImage, b: FoundImage): number => a.image.name.localeCompare(b.image.name)
  const compare = sort === undefined ? byName : (a: FoundImage, b: FoundImage): number => compareImages(sort, a.image, b.image)
  found.sort((a, b) => compare(a, b) || a.store.name.localeCompare(b.store.name))
  const cut = contacts.filter((contact) => contact.kind === 'answered' && contact.value.images.length >= IMAGES_SHOWN_MAX)
  const failures = contacts.flatMap((contact) => (contact.kind === 'answered' && contact.value.storeFailure ? [contact.value.storeFailure] : []))
  const asOfMs = Math.min(window?.asOfMs ?? Number.POSITIVE_INFINITY, oldestAsOf(contacts, context.clock.nowMs()))
  const counted = window?.totals ?? { images: 0, length: 0, stored: 0 }
  const images = counted.images + found.length
  const stored = found.reduce((sum, { image }) => sum + (image.storedSize ?? 0), counted.stored)
  const length = found.reduce((sum, { image }) => sum + image.length, counted.length)
  const cutRows = window?.cut(found, held.images)
  return makeView({
    title,
    text: images + held.images.length === 0 ? 'No images.' : listText({ images, length, stored }, held.images.length),
    tone: failures.length > 0 ? 'bad' : held.images.length > 0 ? 'warning' : 'plain',
    fields: failures.map((storeFailure) => ({ label: storeFailure.store, value: failureText(storeFailure), tone: 'bad' })),
    columns: images + held.images.length === 0 ? [] : columns,
    rows: cutRows ? cutRows.rows : [...found.map(imageRow), ...held.images.map(heldRow)],
    ...(cutRows ? { cut: cutRows.cut } : {}),
    actions: action ? (cutRows?.listed ?? found).slice(0, ACTIONS_MAX).map(action) : [],
    notes: [
      ...(window ? [WINDOW_NOTE] : []),
      ...unavailableNotes(found),
      ...held.notes,
      ...gapNotes(gaps, 'its images'),
      ...cut.map(
        (contact) =>
          `Only the first ${IMAGES_SHOWN_MAX} images of ${contact.store.name} are shown. Narrow the list with name=, owner=, status= or another filter.`,
      ),
    ],
    asOfMs,
    json: {
      items: [...found.map(imageJson), ...held.images.map(heldJson)],
      warnings: failures.map(failureJson),
      missing: [...gapsJson(contacts), ...gapsJson(absent.flatMap(({ silence }) => silence ?? []))],
      asOf: formatTime(asOfMs),
    },
  })
}

/** `12 images, 30 GB long, 9 GB stored; 3 more are unavailable with their stores`. */
function listText({ images, length, stored }: { images: number; length: number; stored: number }, unavailable: number): string {
  const known = `${plural(images, 'image')}, ${formatBytes(length)} long, ${formatBytes(stored)} stored`
  return unavailable === 0 ? known : `${known}; ${plural(unavailable, 'image')} of stores that do not answer`
}

async function readImages(agent: AgentClient, filter: ImageListing['filter'], sort: ImageListing['sort']): Promise<Image[]> {
  const images: Image[] = []
  for await (const image of agent.images.all({ ...filter, sort })) if (images.push(image) >= IMAGES_SHOWN_MAX) break
  return images
}

/** Reason and next step of images that cannot be read although their store is not in error. */
function unavailableNotes(found: readonly FoundImage[]): string[] {
  const single = found.filter(({ image, storeFailure }) => image.status === 'fileUnavailable' && !storeFailure?.isUnreadable)
  const notes = single
    .slice(0, UNAVAILABLE_NAMED_MAX)
    .map((one) =>
      [`${one.image.name} in ${one.store.name} cannot be read.`, one.image.statusReason ?? '', statusAdvice(one)].filter((text) => text !== '').join(' '),
    )
  return single.length > UNAVAILABLE_NAMED_MAX ? [...notes, `${single.length - UNAVAILABLE_NAMED_MAX} more images cannot be read.`] : notes
}
