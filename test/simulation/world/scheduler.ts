// The scheduler of a simulated world: everything that takes time (a disk operation, a timer, a packet) is an event, and a seed decides which
// event runs next. Between two events all promises settle, so that a run depends on nothing but its seed.

import type { Random } from '../../support/properties.ts'

const realImmediate = globalThis.setImmediate

/** A process of the world. Events of a process that ended never run. */
export interface Owner {
  readonly name: string
  isAlive: boolean
}

interface WorldEvent {
  readonly owner: Owner
  readonly label: string
  readonly run: () => void
}

interface Timer extends WorldEvent {
  readonly dueMs: number
  readonly order: number
}

/** A timer that is due no later than this after the present, in milliseconds, may run although other events are ready. */
const NEAR_MS = 1

export class Scheduler {
  /** Decides which event runs next; replaced at each step of a script. */
  random: Random
  readonly #startMs: number
  #elapsedMs = 0
  #ready: WorldEvent[] = []
  #timers: Timer[] = []
  #count = 0
  #hash = 0
  #current: Owner
  /** Calls of native code that are in progress; the world waits for them. */
  #external = 0
  /** Called with each event that runs, to print it. */
  onEvent: ((line: string) => void) | undefined

  constructor(random: Random, owner: Owner, startMs = Date.UTC(2026, 0, 1)) {
    this.random = random
    this.#current = owner
    this.#startMs = startMs
  }

  /** The process whose code runs now. */
  get current(): Owner {
    return this.#current
  }

  get elapsedMs(): number {
    return this.#elapsedMs
  }

  get nowMs(): number {
    return this.#startMs + this.#elapsedMs
  }

  /** Events that have run. */
  get count(): number {
    return this.#count
  }

  /** Hash over every event that has run, in order. */
  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, '0')
  }

  get hasReady(): boolean {
    return this.#ready.length > 0
  }

  /** Adds a line to the trace that is not an event, such as the answer to a client. */
  note(text: string): void {
    this.#hash = Bun.hash.xxHash32(text, this.#hash)
    this.onEvent?.(text)
  }

  /** Adds an event that may run from now on. */
  post(owner: Owner, label: string, run: () => void): void {
    if (owner.isAlive) this.#ready.push({ owner, label, run })
  }

  /** An operation of the present process: its effect and its result come when the scheduler picks it. */
  operation<T>(label: string, run: () => T): Promise<T> {
    const owner = this.#current
    return new Promise((resolve, reject) => {
      this.post(owner, label, () => {
        try {
          resolve(run())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  /** Adds a timer of the present process; returns what removes it. */
  timer(ms: number, label: string, run: () => void): () => void {
    const timer: Timer = { owner: this.#current, label, run, dueMs: this.#elapsedMs + Math.max(0, ms), order: this.#count }
    if (!timer.owner.isAlive) return () => {}
    // Few timers exist at once: a sorted list is enough.
    const at = this.#timers.findIndex((other) => other.dueMs > timer.dueMs)
    this.#timers.splice(at === -1 ? this.#timers.length : at, 0, timer)
    return () => {
      const found = this.#timers.indexOf(timer)
      if (found !== -1) this.#timers.splice(found, 1)
      const ready = this.#ready.indexOf(timer)
      if (ready !== -1) this.#ready.splice(ready, 1)
    }
  }

  /** Waits for native code that answers through the event loop of the real process. */
  async external<T>(run: () => Promise<T>): Promise<T> {
    this.#external++
    try {
      return await run()
    } finally {
      this.#external--
    }
  }

  /** Ends a process: nothing of it runs any more. */
  end(owner: Owner): void {
    owner.isAlive = false
    this.#ready = this.#ready.filter((event) => event.owner !== owner)
    this.#timers = this.#timers.filter((timer) => timer.owner !== owner)
  }

  /** Runs code as a process, outside of any event. */
  async as(owner: Owner, run: () => void): Promise<void> {
    const before = this.#current
    this.#current = owner
    run()
    await this.settle()
    this.#current = before
  }

  /** Runs the next event; when none is ready, time moves on to the next timer. Returns false when there is neither. */
  async step(): Promise<boolean> {
    this.#moveTimers(this.#elapsedMs + (this.#ready.length === 0 ? Number.POSITIVE_INFINITY : 0))
    const at = this.random.below(Math.max(1, this.#ready.length))
    const [event] = this.#ready.splice(at, 1)
    if (!event) return false
    this.#count++
    const line = `${this.#elapsedMs} ${event.owner.name} ${event.label}`
    this.#hash = Bun.hash.xxHash32(line, this.#hash)
    this.onEvent?.(line)
    const before = this.#current
    this.#current = event.owner
    event.run()
    await this.settle()
    this.#current = before
    return true
  }

  /** Lets time pass; timers become due in order and events run between them. */
  async advance(ms: number, eventsMax: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms
    for (let events = 0; events < eventsMax; events++) {
      const next = this.#timers[0]?.dueMs ?? Number.POSITIVE_INFINITY
      if (this.#ready.length === 0 && next > untilMs) break
      await this.step()
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs)
  }

  /** Resolves when no promise of the world can settle without another event. */
  async settle(): Promise<void> {
    do await new Promise((resolve) => realImmediate(resolve))
    while (this.#external > 0)
  }

  /** Makes timers ready: those that are due, or those of the next instant when `untilMs` is infinite. */
  #moveTimers(untilMs: number): void {
    const first = this.#timers[0]
    if (!first) return
    if (untilMs === Number.POSITIVE_INFINITY) this.#elapsedMs = Math.max(this.#elapsedMs, first.dueMs)
    while (this.#timers[0] && this.#timers[0].dueMs <= this.#elapsedMs + (untilMs === Number.POSITIVE_INFINITY ? 0 : NEAR_MS)) {
      const timer = this.#timers.shift()
      if (timer) this.#ready.push(timer)
    }
  }
}
