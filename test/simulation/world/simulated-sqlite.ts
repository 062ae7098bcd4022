// bun:sqlite as the agents of a simulation see it: real databases on a memory file system. What a full sync makes durable is copied, so that
// a power cut can bring it back.

import { Database as RealDatabase } from 'bun:sqlite'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { noteOpened } from './world.ts'

/** Ending of the copy that is on stable storage. */
export const DURABLE_SUFFIX = '.durable'
const PARTS = ['', '-wal'] as const

export class Database extends RealDatabase {
  readonly #path: string | undefined
  readonly #forget: () => void
  #isFull = false

  constructor(path?: string, options?: ConstructorParameters<typeof RealDatabase>[1]) {
    super(path, options)
    this.#path = path
    this.#forget = noteOpened(() => super.close())
  }

  override run(...args: Parameters<RealDatabase['run']>): ReturnType<RealDatabase['run']> {
    const result = super.run(...args)
    const [statement] = args
    if (statement === 'PRAGMA synchronous = FULL') this.#isFull = true
    // The transactions between the two are synced when their calls return.
    if (statement === 'PRAGMA synchronous = NORMAL' && this.#isFull) {
      this.#isFull = false
      if (this.#path !== undefined) copyDatabase(this.#path, `${this.#path}${DURABLE_SUFFIX}`)
    }
    return result
  }

  override close(throwOnError?: boolean): void {
    this.#forget()
    super.close(throwOnError)
  }
}

/** Copies a database with its log; without one at `from`, removes that at `to`. */
export function copyDatabase(from: string, to: string): void {
  for (const part of PARTS) {
    rmSync(to + part, { force: true })
    if (existsSync(from + part)) copyFileSync(from + part, to + part)
  }
  rmSync(`${to}-shm`, { force: true })
}
