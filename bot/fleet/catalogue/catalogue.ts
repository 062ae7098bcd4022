// The catalogue in the bot's database: what images each store held. The service fills it (filler.ts), and every process answers from it about stores that do not
// answer. For a store that answers, only pages of lists come from it (window.ts), while its agent announces the fingerprint of the rows.

import { fingerprintText, withImage } from '../../../protocol/images/fingerprint.ts'
import type { Fingerprint } from '../../../protocol/images/fingerprint.ts'
import type { BotDatabase } from '../../system/database.ts'
import { heldFromRow, rowOf } from './held-image.ts'
import type { HeldImage, HeldRow } from './held-image.ts'
import { createCatalogueWindows } from './window.ts'
import type { CatalogueWindows } from './window.ts'

/** Most images that the catalogue keeps of one store. */
export const STORE_IMAGES_MAX = 20_000
/** Most images that it keeps of all stores together, about 1 GB. */
export const IMAGES_MAX = 4_000_000
/** Removed stores whose images are kept, the newest ones. */
export const REMOVED_STORES_MAX = 20
/** How long the images of a removed store are kept, in milliseconds: 30 days. */
export const REMOVED_MS_MAX = 30 * 86_400_000
/** Rows that one transaction of the housekeeping removes. */
const FORGOTTEN_MAX = 1000

/** What the catalogue knows of one store. */
export interface HeldStore {
  readonly key: number
  /** The present name, or the last one of a removed store. */
  readonly name: string
  readonly images: number
  /** Images that the store had beyond the bounds, which are not kept. */
  readonly beyond: number
  /** Fingerprint of the kept images. */
  readonly fingerprint: string
  /** What the agent announced when its images were last read completely. */
  readonly announced: string
  /** When the kept images were last known to be all of the store, in milliseconds since 1970; null before they were read completely once. */
  readonly asOfMs: number | null
  /** When the store was removed from the registry; null for a registered store. */
  readonly removedMs: number | null
}

export interface HeldFilter {
  /** Those in the recycle bin, or the others. */
  readonly isBin: boolean
  /** Whether images that not everybody sees are included. */
  readonly isAll: boolean
  readonly limit: number
}

export interface Catalogue {
  /** Finds a registered store; undefined when nothing is known of it. */
  of(store: string): HeldStore | undefined
  /** The removed stores, the newest first. */
  removed(): HeldStore[]
  /** Returns images of a store by name. */
  list(store: Pick<HeldStore, 'key'>, filter: HeldFilter): HeldImage[]
  /** Finds images of a store by id, by name, or, if none has it, by the beginning or end of an id; `part` is that of the id. */
  find(store: Pick<HeldStore, 'key'>, text: string, filter: HeldFilter): HeldImage[]
  /** Returns images of a store whose name begins with a text, or has it anywhere whatever the case of ASCII letters, by name. */
  search(store: Pick<HeldStore, 'key'>, wanted: { readonly text: string; readonly isPrefix: boolean }, filter: HeldFilter): HeldImage[]
  /** Adds a registered store with a known UUID. Returns undefined when it is not registered. */
  open(store: string): HeldStore | undefined
  /** Writes images as one transaction. Returns how many were not kept because of the bounds. */
  put(store: Pick<HeldStore, 'key'>, images: readonly HeldImage[]): number
  /** Removes images as one transaction. */
  drop(store: Pick<HeldStore, 'key'>, ids: readonly string[]): void
  /** Yields the ids of the images of a store, page by page. */
  ids(store: Pick<HeldStore, 'key'>): Generator<string[]>
  /** Notes that the kept images are all images of their stores, but for those beyond the bounds, as one transaction. */
  verified(stores: readonly { readonly key: number; readonly asOfMs: number; readonly announced?: string; readonly beyond?: number }[]): void
  /** Removes a bounded number of rows of removed stores beyond the bounds. Returns whether there are more. */
  forget(nowMs: number): boolean
  /** Pages of the images of stores that answer, as long as their agents announced nothing else. */
  readonly windows: CatalogueWindows
}

interface StoreRow extends Fingerprint {
  key: number
  store: string | null
  last_name: string
  announced: string
  beyond: number
  as_of_ms: number | null
  removed_ms: number | null
}

type Named = Record<string, string | number | null>

/** Creates the catalogue on the bot's database; a change is durable when the call returns. */
export function createCatalogue(database: BotDatabase): Catalogue {
  const find = database.query<StoreRow, { store: string }>('SELECT * FROM catalogue_stores WHERE store = $store')
  const byKey = database.query<StoreRow, { key: number }>('SELECT * FROM catalogue_stores WHERE key = $key')
  const removed = database.query<StoreRow, []>('SELECT * FROM catalogue_stores WHERE store IS NULL ORDER BY removed_ms DESC, key DESC')
  const insert = database.query<null, { store: string }>(
    `INSERT OR IGNORE INTO catalogue_stores (store, last_name, store_id) SELECT name, name, store_id FROM stores WHERE name = $store AND store_id IS NOT NULL`,
  )
  const total = database.query<{ images: number }, []>('SELECT coalesce(sum(images), 0) AS images FROM catalogue_stores')
  const image = database.query<HeldRow, { store: number; id: string }>('SELECT * FROM catalogue_images WHERE store = $store AND id = $id')
  const write = database.query<null, Named>(
    `INSERT OR REPLACE INTO catalogue_images (store, id, name, status, kind, format, length, stored_size, digest, manifest_digest, owner, is_open,
       created_at, deleted_at, expires_at, changed_ms)
     VALUES ($store, $id, $name, $status, $kind, $format, $length, $stored_size, $digest, $manifest_digest, $owner, $is_open,
       $created_at, $deleted_at, $expires_at, $changed_ms)`,
  )
  const erase = database.query<null, { store: number; id: string }>('DELETE FROM catalogue_images WHERE store = $store AND id = $id')
  const sum = database.query<null, { key: number; high: number; low: number; images: number }>(
    'UPDATE catalogue_stores SET high = $high, low = $low, images = $images WHERE key = $key',
  )
  const verify = database.query<null, { key: number; asOf: number; announced: string | null; beyond: number | null }>(
    'UPDATE catalogue_stores SET as_of_ms = $asOf, announced = coalesce($announced, announced), beyond = coalesce($beyond, beyond) WHERE key = $key',
  )
  const shelf = `store = $key AND (status = 'deleted') = $isBin AND (is_open = 1 OR $isAll = 1)`
  const list = database.query<HeldRow, Named>(`SELECT * FROM catalogue_images WHERE ${shelf} ORDER BY name, id LIMIT $limit`)
  const named = database.query<HeldRow, Named>(`SELECT * FROM catalogue_images WHERE ${shelf} AND (id = $text OR name = $text) ORDER BY id LIMIT $limit`)
  const parts = database.query<HeldRow, Named>(
    `SELECT * FROM catalogue_images WHERE ${shelf} AND (substr(id, 1, length($text)) = $text OR substr(id, -length($text)) = $text) ORDER BY id LIMIT $limit`,
  )
  const beginning = database.query<HeldRow, Named>(
    `SELECT * FROM catalogue_images WHERE ${shelf} AND name >= $text AND name < $text || char(1114111) ORDER BY name, id LIMIT $limit`,
  )
  const having = database.query<HeldRow, Named>(
    `SELECT * FROM catalogue_images WHERE ${shelf} AND instr(lower(name), lower($text)) > 0 ORDER BY name, id LIMIT $limit`,
  )
  const ids = database.query<{ id: string }, { key: number; after: string }>(
    'SELECT id FROM catalogue_images WHERE store = $key AND id > $after ORDER BY id LIMIT 1000',
  )
  const forgetImages = database.query<null, { key: number; most: number }>(
    'DELETE FROM catalogue_images WHERE store = $key AND id IN (SELECT id FROM catalogue_images WHERE store = $key LIMIT $most)',
  )
  const forgetStore = database.query<null, { key: number }>('DELETE FROM catalogue_stores WHERE key = $key')
  const needed = (key: number): StoreRow => {
    const row = byKey.get({ key })
    if (!row) throw new Error('the catalogue has no such store')
    return row
  }
  const filterOf = ({ key }: Pick<HeldStore, 'key'>, { isBin, isAll, limit }: HeldFilter): Named => ({ key, isBin: Number(isBin), isAll: Number(isAll), limit })

  const putAll = database.transaction((key: number, images: readonly HeldImage[]): number => {
    let now: Fingerprint = needed(key)
    const room = Math.min(STORE_IMAGES_MAX - now.images, IMAGES_MAX - (total.get()?.images ?? 0))
    const first = now.images
    let beyond = 0
    for (const held of images) {
      const row = image.get({ store: key, id: held.id })
      const before = row ? heldFromRow(row) : undefined
      if (!before && now.images - first >= room) {
        beyond++
        continue
      }
      const without = before ? withImage(now, before, -1) : now
      const after = withImage(without, held, 1)
      if (before && after.high === now.high && after.low === now.low) continue
      write.run({ store: key, ...rowOf(held) })
      now = after
    }
    sum.run({ key, high: now.high, low: now.low, images: now.images })
    return beyond
  })
  const dropAll = database.transaction((key: number, gone: readonly string[]) => {
    let now: Fingerprint = needed(key)
    for (const id of gone) {
      const row = image.get({ store: key, id })
      if (!row) continue
      now = withImage(now, heldFromRow(row), -1)
      erase.run({ store: key, id })
    }
    sum.run({ key, high: now.high, low: now.low, images: now.images })
  })
  const verifyAll = database.transaction((stores: Parameters<Catalogue['verified']>[0]) => {
    for (const { key, asOfMs, announced, beyond } of stores) verify.run({ key, asOf: asOfMs, announced: announced ?? null, beyond: beyond ?? null })
  })
  const isOld = (row: StoreRow, i: number, nowMs: number): boolean =>
    i >= REMOVED_STORES_MAX || row.images === 0 || nowMs - (row.removed_ms ?? 0) > REMOVED_MS_MAX
  const forgetSome = database.transaction((nowMs: number): boolean => {
    const old = removed.all().filter((row, i) => isOld(row, i, nowMs))
    const [first] = old
    if (!first) return false
    const { changes } = forgetImages.run({ key: first.key, most: FORGOTTEN_MAX })
    if (changes < FORGOTTEN_MAX) forgetStore.run({ key: first.key })
    return old.length > 1 || changes === FORGOTTEN_MAX
  })
  return {
    windows: createCatalogueWindows(database),
    of: (store) => optional(find.get({ store })),
    removed: () => removed.all().map(storeOf),
    list: (store, filter) => list.all(filterOf(store, filter)).map(heldFromRow),
    find(store, text, filter) {
      const whole = named.all({ ...filterOf(store, filter), text })
      return (whole.length > 0 || text.length < 4 ? whole : parts.all({ ...filterOf(store, filter), text })).map(heldFromRow)
    },
    search: (store, { text, isPrefix }, filter) => (isPrefix ? beginning : having).all({ ...filterOf(store, filter), text }).map(heldFromRow),
    open(store) {
      const known = find.get({ store })
      if (known) return storeOf(known)
      insert.run({ store })
      return optional(find.get({ store }))
    },
    put: ({ key }, images) => putAll.immediate(key, images),
    drop: ({ key }, gone) => dropAll.immediate(key, gone),
    *ids({ key }) {
      for (let after = ''; ;) {
        const page = ids.all({ key, after }).map(({ id }) => id)
        if (page.length === 0) return
        yield page
        after = page.at(-1) ?? ''
      }
    },
    verified: (stores) => verifyAll.immediate(stores),
    // Most of the time there is nothing to forget, and no reason for a write.
    forget: (nowMs) => removed.all().some((row, i) => isOld(row, i, nowMs)) && forgetSome.immediate(nowMs),
  }
}

function optional(row: StoreRow | null): HeldStore | undefined {
  return row ? storeOf(row) : undefined
}

function storeOf(row: StoreRow): HeldStore {
  const { key, store, last_name: lastName, images, beyond, announced, as_of_ms: asOfMs, removed_ms: removedMs } = row
  return { key, name: store ?? lastName, images, beyond, fingerprint: fingerprintText(row), announced, asOfMs, removedMs }
}
