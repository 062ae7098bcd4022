// Writes rows from memory to disk: those of sealed packs, and removals, in batches that each become a run.

import { createInOrder } from '../../contract/in-order.ts'
import type { IndexTrust } from './index-trust.ts'
import type { KnownPacks } from './known-packs.ts'
import type { PendingRow, PendingRows } from './pending-rows.ts'
import { BATCH_ROWS_MAX, RunBatch } from './run-batch.ts'
import { REMOVED } from './run-format.ts'
import type { PackEntry } from '../packs/slice-row.ts'
import type { StoredRows } from './stored-rows.ts'

/** Rows added to a batch between two pauses. */
const STEP_ROWS = 4096
/** With more runs than this, a flush waits until some are merged. */
const RUNS_MAX = 128

export interface RowFlushDeps {
  readonly pending: PendingRows
  readonly packs: KnownPacks
  readonly stored: StoredRows
  readonly trust: IndexTrust
  readonly pause: () => Promise<void>
}

/** Writes one batch at a time. */
export class RowFlush {
  readonly #deps: RowFlushDeps
  /** Packs that are sealed, but not on disk yet. */
  readonly #sealing = new Set<number>()
  readonly #flushes = createInOrder()

  constructor(deps: RowFlushDeps) {
    this.#deps = deps
  }

  /** Marks the rows of a sealed pack as due. */
  seal(pack: number): void {
    this.#sealing.add(pack)
  }

  /** Forgets one pack that was removed, or all packs. */
  forget(pack?: number): void {
    if (pack === undefined) this.#sealing.clear()
    else this.#sealing.delete(pack)
  }

  /** Writes everything that is due at the call. A pack counts as sealed on disk once all its rows are written. */
  run(): Promise<void> {
    return this.#flushes.run(() => this.#runAll())
  }

  /** Merges runs. Never rejects: a failure is reported to the watcher, and the runs stay as they are. */
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

  /** Writes rows as a run; returns false when a rebuild started meanwhile, and the rows still wait. */
  async #write(rows: readonly PendingRow[], sealed: readonly PackEntry[]): Promise<boolean> {
    const { pending, stored, pause } = this.#deps
    const batch = new RunBatch()
    let added = 0
    for (const row of rows) {
      batch.add(row)
      if (++added % STEP_ROWS === 0) await pause()
    }
    return stored.append(batch, 'newest', () => ({ ...pending.flyingTotals(), sealed, onWritten: () => pending.landed() }))
  }
}
