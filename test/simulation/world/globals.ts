// Replaces what the runtime gives every module: time, timers, randomness, threads and the network. Nothing in the agent knows.

import { createSimulatedWorker } from './simulated-worker.ts'
import { isSimulating, world } from './world.ts'

const realPerformanceNow = performance.now.bind(performance)
const realDateNow = Date.now

/** Installs the replacements for the life of this process. Call once, before any module of the agent is loaded. */
export function installGlobals(): void {
  replaceTime()
  replaceRandomness()
  replaceNativeCalls()
  replaceUsage()
  Object.assign(globalThis, {
    Worker: createSimulatedWorker,
    fetch: (url: string, init: RequestInit) => world().fetch(url, init),
  })
  process.on('unhandledRejection', (error) => {
    if (!isSimulating()) throw error
    world().unhandled.push(error)
  })
}

/** The real monotonic time in milliseconds, for the figures of a campaign. */
export function realMs(): number {
  return realPerformanceNow()
}

function replaceTime(): void {
  const elapsed = (): number => (isSimulating() ? world().scheduler.elapsedMs : realPerformanceNow())
  Object.assign(performance, { now: elapsed })
  Object.assign(Date, { now: () => (isSimulating() ? world().scheduler.nowMs : realDateNow()) })
  Object.assign(AbortSignal, {
    timeout(ms: number): AbortSignal {
      const controller = new AbortController()
      world().scheduler.timer(ms, 'timeout', () => controller.abort(new DOMException('The operation timed out.', 'TimeoutError')))
      return controller.signal
    },
  })
  const realImmediate = globalThis.setImmediate
  Object.assign(globalThis, {
    setImmediate(run: (...args: unknown[]) => void, ...args: unknown[]) {
      if (!isSimulating()) return realImmediate(run, ...args)
      const { scheduler } = world()
      scheduler.post(scheduler.current, 'immediate', () => run(...args))
      return undefined
    },
  })
}

/** What the process uses of the real machine, which the health checks judge. */
function replaceUsage(): void {
  Object.assign(process, { cpuUsage: () => ({ user: 0, system: 0 }) })
  Object.assign(process.memoryUsage, { rss: () => 100 * 1024 * 1024 })
}

function replaceRandomness(): void {
  Object.assign(crypto, {
    getRandomValues<T extends Uint8Array>(into: T): T {
      into.set(world().entropy.bytes(into.byteLength))
      return into
    },
    randomUUID(): string {
      const hex = world().entropy.bytes(16).toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
    },
  })
  Object.assign(Math, { random: () => world().entropy.below(0x7fff_ffff) / 0x7fff_ffff })
}

/** Calls that would run on threads of the runtime: digests and decompression here and now, the others one after the other. */
function replaceNativeCalls(): void {
  Object.assign(Bun, {
    zstdDecompress: async (bytes: Uint8Array<ArrayBuffer>) => Bun.zstdDecompressSync(bytes),
  })
  const { subtle } = crypto
  const inOrder = (run: () => Promise<unknown>): Promise<unknown> => {
    const { scheduler } = world()
    const result = last.then(() => run())
    last = result.catch(() => {})
    return scheduler.external(() => result)
  }
  let last: Promise<unknown> = Promise.resolve()
  const digest = async (_algorithm: string, bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> => {
    const out = new Uint8Array(32)
    Bun.SHA256.hash(bytes, out)
    return out.buffer
  }
  Object.assign(subtle, { digest })
  for (const name of ['importKey', 'sign', 'verify', 'encrypt', 'decrypt'] as const) {
    const real = subtle[name].bind(subtle) as (...args: unknown[]) => Promise<unknown>
    Object.assign(subtle, { [name]: (...args: unknown[]) => inOrder(() => real(...args)) })
  }
}
