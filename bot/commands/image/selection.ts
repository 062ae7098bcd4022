// Which images a command means: those that it names, or with `all` those that its filters select.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { BULK_ITEMS_MAX } from '../../bulk/bulk-run.ts'
import type { DraftItem } from '../../bulk/bulk-run.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { CommandContext } from '../command.ts'
import { quoteOption } from '../../views/quote.ts'
import { gapNotes, oneStore, someStores } from '../select.ts'
import { foundImages, oneImage } from './find.ts'
import type { FoundImage, SearchScope } from './find.ts'
import { parseFilter } from './list/list-options.ts'
import { withHealth } from './list/readable.ts'

/** The word that stands for every image that the filters select. */
export const ALL = 'all'

/** Filters of `all` that no other option of a command has as its name. */
export const SELECT_OPTIONS = {
  zone: { about: 'with all: images in the stores of this zone', value: 'Z', subject: 'zone' },
  label: { about: 'with all: images with these labels: env=test,team', value: 'KEY[=VALUE],…' },
  search: { about: 'with all: images whose name or description contains this', value: 'TEXT' },
  status: { about: 'with all: images with this status', value: 'STATUS' },
} as const

/** Further filters of commands that change neither owner nor kind. */
export const MORE_SELECT_OPTIONS = {
  ...SELECT_OPTIONS,
  owner: { about: 'with all: images of this owner', value: 'NAME' },
  kind: { about: 'with all: images of this kind', value: 'KIND' },
} as const

type SelectOptions = { readonly [Key in keyof typeof MORE_SELECT_OPTIONS | 'store']?: string | undefined }

export interface Selection {
  readonly found: readonly FoundImage[]
  /** Whether the filters chose the images, so that nobody has read their names. */
  readonly isAll: boolean
  /** The words that select them, for a line that runs the command again. */
  readonly words: readonly string[]
  /** Stores that did not tell what they have. */
  readonly notes: readonly string[]
}

/** Returns the images that a command names or selects, each once. Throws ProblemError when there is none. */
export async function selectImages(
  context: CommandContext,
  targets: readonly string[],
  options: SelectOptions,
  scope: SearchScope = 'listed',
): Promise<Selection> {
  const { store, ...filters } = options
  const given = Object.entries(filters).filter(([, value]) => value !== undefined)
  if (!isAllOf(targets)) {
    const [first] = given
    if (first)
      throw problem('invalid-input', `${first[0]}= selects among all images, and images are named.`, {
        action: 'Write all instead of the names, or leave it out.',
      })
    const found = await Promise.all([...new Set(targets)].map((target) => oneImage(context, target, store, scope)))
    const unique = [...new Map(found.map((one) => [`${one.store.name} ${one.image.id}`, one])).values()]
    const words = [...unique.map(({ image }) => image.id), ...(store === undefined ? [] : [quoteOption('store', store)])]
    return { found: unique, isAll: false, words, notes: [] }
  }
  if (given.length === 0 && store === undefined)
    throw problem('invalid-input', 'all needs something that selects: all images of the whole fleet are never meant.', {
      action: 'Add store=, zone=, label=, owner= or another filter.',
    })
  const stores = store === undefined ? someStores(context, undefined, options.zone) : [oneStore(context, store, undefined, options.zone)]
  const { found, notes } = await selectAmong(context, stores, filters, scope)
  const words = [ALL, ...Object.entries(options).flatMap(([key, value]) => (value === undefined ? [] : [quoteOption(key, value)]))]
  return { found, isAll: true, words, notes }
}

/** Whether the targets are the word `all`. Throws `invalid-input` when names stand beside it. */
export function isAllOf(targets: readonly string[]): boolean {
  if (!targets.includes(ALL)) return false
  if (targets.length === 1) return true
  throw problem('invalid-input', 'all stands for every image that the filters select, and takes no names beside it.', {
    action: 'Leave out all, or the names. An image that is called all is named by its id.',
  })
}

/** The images of these stores that the filters select, by name. Throws `not-found` for none, and `limit-reached` for more than one run takes. */
export async function selectAmong(
  context: CommandContext,
  stores: readonly StoreRecord[],
  { zone: _zone, ...words }: Omit<SelectOptions, 'store'>,
  scope: SearchScope,
): Promise<Pick<Selection, 'found' | 'notes'>> {
  const filter = { ...parseFilter(words), ...(scope === 'bin' ? { status: 'deleted' as const } : {}) }
  const contacts = await context.fleet.contactAll(stores, (agent, record) => withHealth(agent, record, readSelected(agent, filter, scope)))
  const notes = gapNotes(contacts, 'its images')
  const found = foundImages(context, contacts)
  if (found.length === 0)
    throw problem('not-found', ['No image is selected.', ...notes].join(' '), { action: 'See what there is with image list and the same filters.' })
  if (found.length > BULK_ITEMS_MAX)
    throw problem('limit-reached', `More than ${BULK_ITEMS_MAX} images are selected; one command takes at most so many.`, { action: 'Add a filter.' })
  return { found: found.toSorted((a, b) => a.image.name.localeCompare(b.image.name) || a.store.name.localeCompare(b.store.name)), notes }
}

async function readSelected(agent: AgentClient, filter: Parameters<AgentClient['images']['all']>[0], scope: SearchScope): Promise<Image[]> {
  const images: Image[] = []
  for await (const image of agent.images.all(filter)) {
    if ((image.status === 'deleted') !== (scope === 'bin')) continue
    if (images.push(image) > BULK_ITEMS_MAX) break
  }
  return images
}

/** The images as items of a bulk run. */
export function draftItems(found: readonly FoundImage[], paramsOf: (one: FoundImage) => DraftItem['params'] = () => ({})): DraftItem[] {
  return found.map((one) => ({ store: one.store.name, image: one.image.id, name: one.image.name, length: one.image.length, params: paramsOf(one) }))
}
