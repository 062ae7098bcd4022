// Whether the index database can be believed, and who is told when it cannot.

import { errorText } from '../../../protocol/errors.ts'
import { isIndexDamaged } from './index-unusable.ts'

/** Told of what happens to the index beside the calls. */
export interface IndexWatcher {
  /** It is damaged. */
  distrusted(reason: string): void
  /** Its runs could not be merged: look-ups are slower, and the next rows try it again. */
  untidy(error: unknown): void
}

export class IndexTrust {
  #damage: string | undefined
  #isDistrusted = false
  #watcher: IndexWatcher = { distrusted: () => {}, untidy: () => {} }

  /** Has somebody told what happens, also what did already. */
  watch(watcher: IndexWatcher): void {
    this.#watcher = watcher
    if (this.#isDistrusted) watcher.distrusted(this.#damage ?? '')
  }

  /** What is wrong, from when it is known until the index is whole again. */
  get damage(): string | undefined {
    return this.#damage
  }

  /** Whether the index is damaged, and the making anew did not begin. */
  get isDistrusted(): boolean {
    return this.#isDistrusted
  }

  distrust(reason: string): void {
    if (this.#isDistrusted) return
    this.#isDistrusted = true
    this.#damage = reason
    this.#watcher.distrusted(reason)
  }

  /** Whether an error says that the index is damaged; it is not believed any more then. */
  distrustFor(error: unknown): boolean {
    if (!isIndexDamaged(error)) return false
    this.distrust(errorText(error))
    return true
  }

  /** What comes of work in the background that failed. */
  reportUntidy(error: unknown): void {
    if (!this.distrustFor(error)) this.#watcher.untidy(error)
  }

  /** The making anew has begun: what is damaged from now on is damaged anew. */
  rebuildStarted(): void {
    this.#isDistrusted = false
  }

  /** The index is whole again; false when it was damaged meanwhile. */
  rebuildFinished(): boolean {
    if (!this.#isDistrusted) this.#damage = undefined
    return !this.#isDistrusted
  }
}
