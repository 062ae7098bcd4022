// The one world of this process: what the replaced globals and modules of the agents talk to. A run of a seed creates a new one.

import { createRandom } from '../../support/properties.ts'
import type { Random } from '../../support/properties.ts'
import { Scheduler } from './scheduler.ts'
import type { Owner } from './scheduler.ts'
import type { SimulatedDisk } from './simulated-disk.ts'

/** What runs outside of every process of the world: the driver of a script. */
export const DRIVER: Owner = { name: 'driver', isAlive: true }

export interface World {
  readonly scheduler: Scheduler
  /** Source of everything that agents draw: ids, names of packs, tokens. */
  readonly entropy: Random
  /** Disks by the mount path they serve. */
  readonly disks: Map<string, SimulatedDisk>
  /** Real files and databases that a process has open, closed when it ends. */
  readonly opened: Map<Owner, Set<() => void>>
  /** Errors that no code handled. */
  readonly unhandled: unknown[]
  /** Answers the requests of processes. */
  fetch: (url: string, init: RequestInit) => Promise<Response>
}

let present: World | undefined

/** The world of the run in progress. */
export function world(): World {
  if (!present) throw new Error('no simulation is running')
  return present
}

export function isSimulating(): boolean {
  return present !== undefined
}

/** Makes the world of a seed the present one. */
export function startWorld(seed: number): World {
  present = {
    scheduler: new Scheduler(createRandom(seed), DRIVER),
    entropy: createRandom(seed ^ 0x5eed_f00d),
    disks: new Map(),
    opened: new Map(),
    unhandled: [],
    fetch: () => Promise.reject(new Error('there is no network')),
  }
  return present
}

export function endWorld(): void {
  for (const closers of present?.opened.values() ?? []) for (const close of closers) close()
  present = undefined
}

/** Notes something real that the present process has open; returns what forgets it again. */
export function noteOpened(close: () => void): () => void {
  const { opened, scheduler } = world()
  const owner = scheduler.current
  const closers = opened.get(owner) ?? new Set()
  opened.set(owner, closers)
  closers.add(close)
  return () => void closers.delete(close)
}

/** Closes what a process that ended left open. */
export function closeOpened(owner: Owner): void {
  const { opened } = world()
  for (const close of opened.get(owner) ?? []) close()
  opened.delete(owner)
}
