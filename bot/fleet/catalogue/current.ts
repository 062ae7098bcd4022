// Which stores have the rows that their agents announced last, so that lists of their images come from the catalogue.

import { fingerprintText } from '../../../protocol/images/fingerprint.ts'
import type { Fingerprint } from '../../../protocol/images/fingerprint.ts'
import type { BotDatabase } from '../../system/database.ts'
import { judge } from '../judge.ts'
import type { Sighting } from '../states.ts'

/** A store whose images in the catalogue are what its agent announced last. */
export interface CurrentStore {
  readonly key: number
  readonly name: string
  /** When the agent announced it, in milliseconds since 1970. */
  readonly asOfMs: number
}

interface Row extends Fingerprint {
  readonly key: number
  readonly storeId: string
}

/** Returns a function that finds the stores whose rows are what their agents announced, without those in error. `sinceMs` is when the service was started. */
export function createCurrentStores(database: BotDatabase): (sightings: ReadonlyMap<string, Sighting>, sinceMs: number) => CurrentStore[] {
  const known = database.query<Row & { store: string }, []>(
    `SELECT key, store, store_id AS storeId, high, low, images FROM catalogue_stores WHERE store IS NOT NULL AND as_of_ms IS NOT NULL AND beyond = 0`,
  )
  // Why a file is unavailable is not in the catalogue.
  const unavailable = database.query<{ id: string }, { key: number }>(
    `SELECT id FROM catalogue_images WHERE store = $key AND status = 'fileUnavailable' LIMIT 1`,
  )
  const isAnnounced = (row: Row, sighting: Sighting, sinceMs: number): boolean => {
    if (sighting.kind !== 'answered' || sighting.asOfMs < sinceMs || judge(sighting).state === 'error') return false
    const { store } = sighting.value
    if (!store || store.id !== row.storeId || sighting.store.storeId !== row.storeId || store.imagesFingerprint !== fingerprintText(row)) return false
    const { available, deleted, other } = store.images
    // Images without content count for the agent and are not in the catalogue.
    return available + deleted + other === row.images && (other === 0 || unavailable.get({ key: row.key }) === null)
  }
  return (sightings, sinceMs) => {
    const rows = new Map(known.all().map((row) => [row.store.toLowerCase(), row]))
    return [...sightings].flatMap(([name, sighting]) => {
      const row = rows.get(name.toLowerCase())
      return row && isAnnounced(row, sighting, sinceMs) ? [{ key: row.key, name, asOfMs: sighting.asOfMs }] : []
    })
  }
}
