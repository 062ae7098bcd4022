// Packs that are open for reading. A bounded number of files stays open, and a file in use is never closed.

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

/** Owns the open files. */
export class PackFiles implements AsyncDisposable {
  readonly #disk: Disk
  readonly #folder: string
  readonly #open = new Map<PackName, OpenPack>()

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  /** Returns the path of a pack. */
  path(name: PackName): string {
    return join(this.#folder, packPath(name))
  }

  /** Opens a pack and runs a function on its file. Throws ENOENT when the pack is gone: gc has moved its slices. */
  async use<Result>(name: PackName, run: (file: DiskFile) => Promise<Result>): Promise<Result> {
    const pack = this.#open.get(name) ?? this.#add(name)
    // Most recently used, so closed last.
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

  /** Closes a pack that was removed, after its last reader has finished. */
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
    // A failed close of a file that was only read loses nothing.
    void pack.file.then((file) => file.close()).catch(() => {})
  }
}
