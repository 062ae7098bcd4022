// Threads of the agents, in this process: the code of the worker's own module, which answers each message in an event of its own.

import { world } from './world.ts'
import type { Owner } from './scheduler.ts'

/** What the module of a worker uses of `self`. */
export interface WorkerSelf {
  addEventListener(type: 'message', listen: (event: { readonly data: unknown }) => void): void
  postMessage(message: unknown): void
}

const programs = new Map<string, (self: WorkerSelf) => void>()

/** Registers the program of a worker by the name of its module; the loader of modules calls this. */
export function registerWorker(name: string, program: (self: WorkerSelf) => void): void {
  programs.set(name, program)
}

/** Starts a thread; stands in for `new Worker(url)`. */
export function createSimulatedWorker(url: string): object {
  const name = /([^/]+)\.ts$/.exec(url)?.[1] ?? url
  const program = programs.get(name)
  if (!program) throw new Error(`no worker ${name} is simulated`)
  const { scheduler } = world()
  const owner: Owner = scheduler.current
  const outside = new Map<string, ((event: { readonly data: unknown }) => void)[]>()
  const inside: ((event: { readonly data: unknown }) => void)[] = []
  let isEnded = false
  // Messages of one thread keep their order, each way.
  const inbox: unknown[] = []
  const outbox: unknown[] = []
  program({
    addEventListener: (_type, listen) => void inside.push(listen),
    postMessage(message) {
      outbox.push(message)
      scheduler.post(owner, `from ${name}`, () => {
        const data = outbox.shift()
        if (!isEnded) for (const listen of outside.get('message') ?? []) listen({ data })
      })
    },
  })
  return {
    addEventListener(type: string, listen: (event: { readonly data: unknown }) => void) {
      outside.set(type, [...(outside.get(type) ?? []), listen])
    },
    postMessage(message: unknown) {
      inbox.push(message)
      scheduler.post(owner, `to ${name}`, () => {
        const data = inbox.shift()
        if (!isEnded) for (const listen of inside) listen({ data })
      })
    },
    terminate() {
      isEnded = true
    },
    ref() {},
    unref() {},
  }
}
