// The rows of a list of images that a page shows. Stores whose agents announced what the catalogue has are not asked: SQLite cuts the page out of their images, and
// what the other stores answer is merged into it. The answer has the facts and the words of one that asked every store.

import { hasWords, pageStart } from '../../../../protocol/views/html/row-window.ts'
import type { Cut, Row } from '../../../../protocol/views/view.ts'
import { WINDOW_ORDERS } from '../../../fleet/catalogue/window.ts'
import type { WindowFilter, WindowImage, WindowOrder } from '../../../fleet/catalogue/window.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { keptSightings } from '../../../fleet/see.ts'
import type { CommandContext } from '../../command.ts'
import { actorIn } from '../../permit.ts'
import type { FoundImage } from '../find.ts'
import { heldRow } from './held-images.ts'
import type { AbsentImage } from './held-images.ts'
import { imageRow } from './image-rows.ts'
import type { ListedImage } from './image-rows.ts'
import type { ImageListing } from './list.ts'
import { compareValues } from './list-options.ts'
import { seesAllImages } from './seen-images.ts'

/** A state may have been on its way when this process changed the store, for so long, in milliseconds. */
const STATE_DELAY_MS = 2_000
/** Most words that SQLite looks for. Their length together is that of the text of a page, which is bounded. */
const WORDS_MAX = 8
/** Filters of which the catalogue has columns. */
const WINDOW_FILTERS: ReadonlySet<string> = new Set(['status', 'owner', 'name', 'kind', 'format'])
/** So many images are read to know how many there are. */
const FEW_MAX = 2_000
/** May be a part of a length, which SQLite does not spell. */
const LENGTH_PART = /^[\d.]*$|^[kmgtp]?i?b?$/

export const WINDOW_NOTE =
  'Stores that announced no change of their images are shown from the catalogue of the bot; the age is that of the oldest announcement. --fresh asks every agent.'

/** What the catalogue answers of a list. */
export interface ListWindow {
  /** Names of the stores that need not be asked. */
  readonly stores: ReadonlySet<string>
  /** The oldest announcement, in milliseconds since 1970. */
  readonly asOfMs: number
  readonly totals: { readonly images: number; readonly length: number; readonly stored: number }
  /** Cuts the page out of the images of these stores and of those that others answered; images of absent stores come last. */
  cut(
    found: readonly FoundImage[],
    absent: readonly AbsentImage[],
  ): { readonly rows: readonly Row[]; readonly listed: readonly ListedImage[]; readonly cut: Cut }
}

/** Returns what the catalogue answers; undefined when the page must be cut from the answers of all agents. */
export function listWindow(context: CommandContext, { filter, sort, isFresh }: ImageListing, stores: readonly StoreRecord[]): ListWindow | undefined {
  const { rows: wanted, actor, fleet, clock, catalogue } = context
  const order = wanted?.sortedBy ?? 'name'
  const isKnown = Object.entries(filter).every(([key, value]) => value === undefined || (WINDOW_FILTERS.has(key) && value !== ''))
  if (!wanted || isFresh || sort !== undefined || !isOrder(order) || !isKnown || !areKnown(wanted.words)) return undefined
  const nowMs = clock.nowMs()
  const sinceMs = fleet.kept?.runs.runningSince(nowMs)
  if (sinceMs === undefined) return undefined
  const byName = new Map(stores.map((store) => [store.name, store]))
  const sightings = keptSightings(fleet, stores, nowMs)
  const current = catalogue.windows.current(sightings, sinceMs).filter(({ name, asOfMs }) => asOfMs > fleet.changedMs(name) + STATE_DELAY_MS)
  if (current.length === 0) return undefined
  const keys = current.map(({ key }) => key)
  const seesWhole = (name: string): boolean => {
    const store = byName.get(name)
    return store !== undefined && seesAllImages(actorIn(actor, store))
  }
  const wholeKeys = seesAllImages(actor) ? keys : current.filter(({ name }) => seesWhole(name)).map(({ key }) => key)
  const windowFilter: WindowFilter = { ...filter, keys, wholeKeys }
  const totals = catalogue.windows.sums(windowFilter)
  return {
    stores: new Set(current.map(({ name }) => name)),
    asOfMs: current.reduce((least, { asOfMs }) => Math.min(least, asOfMs), nowMs),
    totals,
    cut(found, absent) {
      const { words, isDescending, limit } = wanted
      const isShown = (row: Row): boolean => words.length === 0 || hasWords(row, words)
      const live = found.filter((image) => isShown(imageRow(image))).map((listed): Ordered => ({ listed, value: valueOf(order, listed) }))
      const last = absent.map(heldRow).filter(isShown)
      const read = (from: number, most: number): WindowImage[] =>
        catalogue.windows.page(windowFilter, { words, order, isDescending, offset: from, limit: most })
      // Words mostly leave few images: to read them says how many there are, without a second scan.
      const few = words.length === 0 ? [] : read(0, FEW_MAX)
      const isFew = words.length > 0 && few.length < FEW_MAX
      const matches = isFew ? few.length : words.length === 0 ? totals.images : catalogue.windows.count(windowFilter, words)
      const ordered = matches + live.length
      const offset = pageStart(wanted.offset, ordered + last.length)
      // Without rows of others the database skips what comes before the page.
      const skipped = isFew || live.length > 0 ? 0 : offset
      const known = isFew ? few : offset < ordered || live.length > 0 ? read(skipped, offset + limit - skipped) : []
      const held = known.map(({ store, image, value }): Ordered => ({ listed: { store: { name: store }, image }, value }))
      const way = isDescending ? -1 : 1
      const all = live.length === 0 ? held : [...held, ...live].toSorted((a, b) => way * compare(a, b))
      const page = all.slice(offset - skipped, offset - skipped + limit)
      const lastFrom = Math.max(0, offset - ordered)
      const rows = [...page.map(({ listed }) => imageRow(listed)), ...last.slice(lastFrom, lastFrom + limit - page.length)]
      return {
        rows,
        listed: page.map(({ listed }) => listed),
        cut: { offset, found: ordered + last.length, all: totals.images + found.length + absent.length },
      }
    },
  }
}

function isOrder(key: string): key is WindowOrder {
  return Object.hasOwn(WINDOW_ORDERS, key)
}

/** Whether SQLite finds words as they stand in cells: it folds the case of ASCII letters only. */
function areKnown(words: readonly string[]): boolean {
  return words.length <= WORDS_MAX && words.every((word) => /^[\x21-\x7e]+$/.test(word) && !LENGTH_PART.test(word))
}

interface Ordered {
  readonly listed: ListedImage
  readonly value: string | number
}

/** Compares as the catalogue orders its rows. */
function compare(a: Ordered, b: Ordered): number {
  return compareValues(a.value, b.value) || compareValues(a.listed.image.id, b.listed.image.id) || compareValues(a.listed.store.name, b.listed.store.name)
}

/** The value by which the catalogue would order an image. */
function valueOf(key: WindowOrder, { store, image }: ListedImage): string | number {
  const last = '\u{10ffff}'
  switch (key) {
    case 'store':
      return asciiLower(store.name)
    case 'name':
      return asciiLower(image.name)
    case 'owner':
      return image.owner === null ? last : asciiLower(image.owner)
    case 'length':
      return image.length
    case 'stored':
      return image.storedSize ?? Number.MAX_SAFE_INTEGER
    case 'created':
      return image.createdAt
    case 'deleted':
      return image.deletedAt ?? last
    case 'expires':
      return image.expiresAt ?? last
    case 'status':
    case 'kind':
    case 'id':
      return image[key]
    case 'format':
      return image.format ?? last
  }
}

function asciiLower(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}
