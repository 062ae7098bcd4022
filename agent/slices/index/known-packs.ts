// The packs of the index database, by number and by name.

import type { PackName } from '../packs/pack-format.ts'
import type { PackEntry } from '../packs/slice-row.ts'

/** Maps numbers to packs and names to numbers. */
export class KnownPacks {
  readonly #byId = new Map<number, PackEntry>()
  readonly #ids = new Map<PackName, number>()

  constructor(packs: Iterable<PackEntry>) {
    for (const pack of packs) this.set(pack)
  }

  all(): Iterable<PackEntry> {
    return this.#byId.values()
  }

  has(id: number): boolean {
    return this.#byId.has(id)
  }

  /** Returns the number of a pack by its name. */
  idOf(name: PackName): number | undefined {
    return this.#ids.get(name)
  }

  get(id: number): PackEntry | undefined {
    return this.#byId.get(id)
  }

  /** Sets a pack. A name has one number only: a damaged database may have it twice, and gc would delete the file by the other number. */
  set(pack: PackEntry): PackEntry {
    const other = this.#ids.get(pack.name)
    if (other !== undefined && other !== pack.id) this.#byId.delete(other)
    this.#byId.set(pack.id, pack)
    this.#ids.set(pack.name, pack.id)
    return pack
  }

  delete(id: number): void {
    const name = this.#byId.get(id)?.name
    if (name !== undefined && this.#ids.get(name) === id) this.#ids.delete(name)
    this.#byId.delete(id)
  }
}
