// The way of rows from memory to the disk: those of sealed packs, and what was removed, batch by batch, each as a run.

import { createInOrder } from '../../contract/in-order.ts'
import type { IndexTrust } from './index-trust.ts'
import type { KnownPacks } from './known-packs.ts'
import type { PendingRow, PendingRows } from './pending-rows.ts'
import { BATCH_ROWS_MAX, RunBatch } from './run-batch.ts'
import { REMOVED } from './run-format.ts'
import type { PackEntry } from '../packs/slice-row.ts'
import type { StoredRows } from './stored-rows.ts'

/** Rows taken for a run between two pauses. */
const STEP_ROWS = 4096
/** With more runs than this, new ones wait until some are merged. */
const RUNS_MAX = 128

export interface RowFlushDeps {
  readonly pending: PendingRows
  readonly packs: KnownPacks
  readonly stored: StoredRows
  readonly trust: IndexTrust
  readonly pause: () => Promise<void>
}

/** One batch at a time is on its way. */
export class RowFlush {
  readonly #deps: RowFlushDeps
  /** Packs that are sealed and not yet on the disk as such. */
  readonly #sealing = new Set<number>()
  readonly #flushes = createInOrder()

  constructor(deps: RowFlushDeps) {
    this.#deps = deps
  }

  /** A pack is sealed: its rows are due. */
  seal(pack: number): void {
    this.#sealing.add(pack)
  }

  /** Forgets packs: one that is gone, or all. */
  forget(pack?: number): void {
    if (pack === undefined) this.#sealing.clear()
    else this.#sealing.delete(pack)
  }

  /** All that was due at the call is on the disk when it resolves. A pack counts as sealed there once all its rows are. */
  run(): Promise<void> {
    return this.#flushes.run(() => this.#runAll())
  }

  /** Merges runs; what goes wrong with that is told, and hinders nobody. */
  async tidy(): Promise<void> {
    try {
      await this.#deps.stored.tidy()
    } catch (error) {
      this.#deps.trust.reportUntidy(error)
    }
  }

  async #runAll(): Promise<void> {
    const { pending, packs, stored, trust } = this.#deps
    for (let isLast = false; !isLast;) {
      const sealing = [...this.#sealing]
      const taken = pending.take(BATCH_ROWS_MAX, (row) => row.pack === REMOVED || packs.get(row.pack)?.sealed === true)
      isLast = taken.isLast
      const sealed = isLast ? sealing.flatMap((id) => packs.get(id) ?? []) : []
      try {
        if (taken.rows.length > 0 && !(await this.#write(taken.rows, sealed))) return
        if (taken.rows.length === 0) stored.sealPacks(sealed)
      } catch (error) {
        pending.failed()
        trust.distrustFor(error)
        throw error
      }
      if (isLast) for (const id of sealing) this.#sealing.delete(id)
      if (taken.rows.length === 0) continue
      const tidied = this.tidy()
      if (stored.runs.length > RUNS_MAX) await tidied
    }
  }

  /** Writes rows as a run; false when all began anew meanwhile, and they still wait. */
  async #write(rows: readonly PendingRow[], sealed: readonly PackEntry[]): Promise<boolean> {
    const { pending, stored, pause } = this.#deps
    const batch = new RunBatch()
    for (const [i, row] of rows.entries()) {
      batch.add(row)
      if (i % STEP_ROWS === STEP_ROWS - 1) await pause()
    }
    return stored.append(batch, 'newest', () => ({ ...pending.flyingTotals(), sealed, onWritten: () => pending.landed() }))
  }
}
