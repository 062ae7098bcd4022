// Damages the index database of a slice store behind its back, while the store is used.

import { Database } from 'bun:sqlite'

/** Runs SQL on the index database of a state folder; gives how many rows it changed. */
export function changeIndex(state: string, sql: string): number {
  using database = new Database(`${state}/index.db`)
  return database.query(sql).run().changes
}

/** Hides slices from the index, as a damaged page does; those whose digest begins with a hex digit below `below`, all without it. */
export function hideSlices(state: string, below = 'g'): number {
  return changeIndex(state, `DELETE FROM slices WHERE lower(hex(digest)) < '${below}'`)
}

/** Makes the index name another slice's place for every slice. */
export function misplaceSlices(state: string): number {
  return changeIndex(state, 'UPDATE slices SET offset = (SELECT min(offset) FROM slices)')
}
