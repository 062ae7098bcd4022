// Whether the index database is known to be damaged, and the watcher that is notified.

import { errorText } from '../../../protocol/errors.ts'
import { isIndexDamaged } from './index-unusable.ts'

/** Notified of what happens to the index in the background. */
export interface IndexWatcher {
  /** The index is damaged. */
  distrusted(reason: string): void
  /** Its runs could not be merged: look-ups are slower, and the next flush tries again. */
  untidy(error: unknown): void
}

/** The state of one index: intact, distrusted (damaged, rebuild due), or being rebuilt. */
export class IndexTrust {
  #damage: string | undefined
  #isDistrusted = false
  #watcher: IndexWatcher = { distrusted: () => {}, untidy: () => {} }

  /** Registers the watcher; damage that was already found is reported to it at once. */
  watch(watcher: IndexWatcher): void {
    this.#watcher = watcher
    if (this.#isDistrusted) watcher.distrusted(this.#damage ?? '')
  }

  /** What is wrong, from its discovery until the index is intact again. */
  get damage(): string | undefined {
    return this.#damage
  }

  /** Whether the index is damaged and the rebuild has not started. */
  get isDistrusted(): boolean {
    return this.#isDistrusted
  }

  distrust(reason: string): void {
    if (this.#isDistrusted) return
    this.#isDistrusted = true
    this.#damage = reason
    this.#watcher.distrusted(reason)
  }

  /** Returns whether an error means that the index is damaged; if so, the index is distrusted. */
  distrustFor(error: unknown): boolean {
    if (!isIndexDamaged(error)) return false
    this.distrust(errorText(error))
    return true
  }

  /** Reports the failure of background work: as damage, or as runs that could not be merged. */
  reportUntidy(error: unknown): void {
    if (!this.distrustFor(error)) this.#watcher.untidy(error)
  }

  /** Marks the rebuild as started: damage found from now on is new damage. */
  rebuildStarted(): void {
    this.#isDistrusted = false
  }

  /** Marks the rebuild as finished; returns false when the index was damaged again meanwhile. */
  rebuildFinished(): boolean {
    if (!this.#isDistrusted) this.#damage = undefined
    return !this.#isDistrusted
  }
}
