// Open packs for reading: a bounded number of files stays open, and one in use is never closed under its reader.

import { join } from 'node:path'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { PackName } from './pack-format.ts'
import { packPath } from './pack-format.ts'

const OPEN_FILES_MAX = 64

interface OpenPack {
  readonly file: Promise<DiskFile>
  users: number
  isForgotten: boolean
}

/** Gives packs to readers. */
export class PackFiles implements AsyncDisposable {
  readonly #disk: Disk
  readonly #folder: string
  readonly #open = new Map<PackName, OpenPack>()

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  path(name: PackName): string {
    return join(this.#folder, packPath(name))
  }

  /** Calls back with the open file; throws ENOENT when the pack is gone (gc moved its slices elsewhere). */
  async use<Result>(name: PackName, run: (file: DiskFile) => Promise<Result>): Promise<Result> {
    const pack = this.#open.get(name) ?? this.#add(name)
    // Used last, closed last.
    this.#open.delete(name)
    this.#open.set(name, pack)
    pack.users++
    try {
      return await run(await pack.file)
    } finally {
      pack.users--
      if (pack.isForgotten) this.#close(pack)
      else this.#trim()
    }
  }

  /** Closes a pack that was removed, once its last reader is done. */
  forget(name: PackName): void {
    const pack = this.#open.get(name)
    if (!pack) return
    this.#open.delete(name)
    pack.isForgotten = true
    this.#close(pack)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#open.keys()]) this.forget(name)
  }

  #add(name: PackName): OpenPack {
    const file = this.#disk.openRead(this.path(name))
    const pack: OpenPack = { file, users: 0, isForgotten: false }
    this.#open.set(name, pack)
    file.catch(() => {
      if (this.#open.get(name) === pack) this.#open.delete(name)
    })
    return pack
  }

  #trim(): void {
    for (const [name, pack] of this.#open) {
      if (this.#open.size <= OPEN_FILES_MAX) return
      if (pack.users === 0) this.forget(name)
    }
  }

  #close(pack: OpenPack): void {
    if (pack.users > 0) return
    // A file open for reading has nothing to lose when closing fails.
    void pack.file.then((file) => file.close()).catch(() => {})
  }
}
