// bun:sqlite as the agents of a simulation see it: real databases on a memory file system. What a full sync makes durable is copied, so that
// a power cut can bring it back.

import { Database as RealDatabase } from 'bun:sqlite'
import { copyFileSync, existsSync, statSync, truncateSync } from 'node:fs'
import { noteOpened } from './world.ts'

/** Length of the log of a database that is on stable storage, by the path of the database. The log is never checkpointed while it is open. */
const durableLengths = new Map<string, number>()

export class Database extends RealDatabase {
  readonly #path: string | undefined
  readonly #forget: () => void
  #isFull = false

  constructor(path?: string, options?: ConstructorParameters<typeof RealDatabase>[1]) {
    super(path, options)
    this.#path = path
    this.#forget = noteOpened(() => super.close())
    if (path !== undefined && !durableLengths.has(path)) durableLengths.set(path, 0)
    super.run('PRAGMA wal_autocheckpoint = 0')
  }

  override run(...args: Parameters<RealDatabase['run']>): ReturnType<RealDatabase['run']> {
    const result = super.run(...args)
    const [statement] = args
    if (statement === 'PRAGMA synchronous = FULL') this.#isFull = true
    // The transactions between the two are synced when their calls return, and with them those before.
    if (statement === 'PRAGMA synchronous = NORMAL' && this.#isFull) {
      this.#isFull = false
      if (this.#path !== undefined) durableLengths.set(this.#path, logLength(this.#path))
    }
    return result
  }

  override close(throwOnError?: boolean): void {
    this.#forget()
    super.close(throwOnError)
  }
}

/** Copies a database as a power cut leaves it that keeps only what was synced. */
export function copyDurable(from: string, to: string): void {
  const length = durableLengths.get(from)
  for (const part of ['', '-wal']) if (existsSync(from + part)) copyFileSync(from + part, to + part)
  // A log that is shorter was written to the database, which then has all of it.
  if (length !== undefined && length < logLength(to)) truncateSync(`${to}-wal`, length)
  durableLengths.set(to, logLength(to))
}

/** Notes that a database was copied as a process that died left it: what was synced of it before is what is synced now. */
export function copied(from: string, to: string): void {
  durableLengths.set(to, durableLengths.get(from) ?? 0)
}

/** Forgets the databases of a run. */
export function forgetDatabases(): void {
  durableLengths.clear()
}

function logLength(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
}
