// The model: what clients were told, and so what may be seen. It has a set of possible states for each image: an operation in progress adds its
// outcome, an acknowledged one leaves only its outcome, and whatever is seen must be among them.

import type { Owner } from './world/scheduler.ts'

/** How long a simulated agent keeps images in the recycle bin, and uploads without a request, in milliseconds. */
export const RETENTION_MS = 3_600_000
export const EXPIRY_MS = 6 * 3_600_000

/** What the simulated agents did against the model. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** `torn`: its manifest is on the disk and nothing that names it, as a copy leaves it that was interrupted between the two. */
export type ImageState = 'live' | 'binned' | 'gone' | 'torn'
/** The states that an operation may lead to from another. */
type Transition = (state: ImageState) => readonly ImageState[]

/** An operation that may change an image at any moment. */
interface Change {
  readonly apply: Transition
  /** Process that may still carry it out; the change is over when that process ends. Undefined for a task, which outlives its process. */
  readonly owner: Owner | undefined
}

/** An image of one agent. */
export class ModelImage {
  readonly agent: number
  readonly id: string
  readonly name: string
  readonly bytes: Buffer
  states: Set<ImageState>
  /** Its slices may be damaged on the disk: then it may be degraded, and never wrong. */
  mayBeDamaged = false
  /** Since when it may have been in the recycle bin. */
  #binnedMs: number | undefined
  readonly #changes = new Set<Change>()
  readonly #watches = new Set<Watch>()

  constructor(
    agent: number,
    { id, name, bytes, states }: { readonly id: string; readonly name: string; readonly bytes: Buffer; readonly states: readonly ImageState[] },
  ) {
    this.agent = agent
    this.id = id
    this.name = name
    this.bytes = bytes
    this.states = new Set(states)
  }

  /** An operation begins at a time; what it returns ends it. */
  begin(apply: Transition, owner: Owner | undefined, nowMs: number): ChangeEnd {
    this.#prune(nowMs)
    const before = new Set(this.states)
    const change: Change = { apply, owner }
    this.#changes.add(change)
    this.#spread(nowMs)
    const watch = this.#watch()
    const end = (states: Iterable<ImageState>): void => {
      this.#changes.delete(change)
      this.#watches.delete(watch)
      if (!watch.isDisturbed && this.#changes.size === 0) this.states = new Set(states)
      this.#spread(nowMs)
    }
    return {
      done: (state) => end([state]),
      refused: () => end(before),
      over: () => end(this.states),
      unknown: () => void this.#watches.delete(watch),
    }
  }

  /** Begins an observation; what it returns takes the state that was seen. */
  look(nowMs: number): (state: ImageState, nowMs: number) => void {
    this.#prune(nowMs)
    const watch = this.#watch()
    return (state, seenMs) => {
      this.#prune(seenMs)
      this.#watches.delete(watch)
      if (!watch.states.has(state)) throw new Violation(`image ${this.name} (${this.id}) is ${state}, but can only be ${[...watch.states].join(' or ')}`)
      if (watch.isDisturbed) return
      this.states = new Set([state])
      this.#close()
    }
  }

  /** The states that the image may have from now until the watch is dropped. */
  #watch(): Watch {
    const watch: Watch = { states: new Set(this.states), isDisturbed: false }
    this.#watches.add(watch)
    return watch
  }

  /** A process ended: what it had not done by now it will not do. */
  ended(owner: Owner): void {
    for (const change of [...this.#changes]) if (change.owner === owner) this.#changes.delete(change)
  }

  /** The retention of the recycle bin may have passed. */
  #prune(nowMs: number): void {
    if (this.#binnedMs === undefined || nowMs - this.#binnedMs < RETENTION_MS || !this.states.has('binned') || this.states.has('gone')) return
    this.states.add('gone')
    this.#disturb()
  }

  #spread(nowMs: number): void {
    this.#close()
    if (!this.states.has('binned')) this.#binnedMs = undefined
    else this.#binnedMs ??= nowMs
    this.#disturb()
  }

  #close(): void {
    for (let isGrowing = true; isGrowing;) {
      isGrowing = false
      for (const { apply } of this.#changes)
        for (const state of this.states)
          for (const next of apply(state)) {
            if (this.states.has(next)) continue
            this.states.add(next)
            isGrowing = true
          }
    }
  }

  #disturb(): void {
    for (const watch of this.#watches) {
      watch.isDisturbed = true
      for (const state of this.states) watch.states.add(state)
    }
  }
}

/** The end of an operation on an image. */
export interface ChangeEnd {
  done(state: ImageState): void
  /** It changed nothing. */
  refused(): void
  /** It may have changed something, and changes nothing more. */
  over(): void
  /** It may still go on. */
  unknown(): void
}

interface Watch {
  readonly states: Set<ImageState>
  isDisturbed: boolean
}

/** An upload of one agent. */
export interface ModelUpload {
  readonly agent: number
  readonly slot: number
  readonly name: string
  readonly content: Buffer
  /** Bytes that were acknowledged. */
  acked: number
  /** Bytes that were sent at most. */
  sent: number
  id: string | undefined
  /** Image that it became, as told; unknown while undefined. */
  imageId: string | undefined
  /** Whether it may have been removed or refused. */
  mayBeGone: boolean
  mayBeDamaged: boolean
  /** Time of the last acknowledged change, for the expiry. */
  touchedMs: number
  readonly isPart: boolean
}

export interface ModelTask {
  readonly agent: number
  readonly id: string
  readonly kind: string
  endedAs: string | undefined
  /** Called once when its end is seen. */
  onEnded: ((state: string) => void) | undefined
}

export interface ModelToken {
  readonly agent: number
  readonly id: string
  mayExist: boolean
  mustExist: boolean
}
