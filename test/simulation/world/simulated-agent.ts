// One agent of a world, wired as `slipway-agent serve` wires it: it starts on its disk and state folder, stops, crashes, and loses power. Only
// sockets and command line are missing; requests come through the simulated network.

import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../../agent/config.ts'
import { openServing } from '../../../agent/commands/serving.ts'
import type { Serving } from '../../../agent/commands/serving.ts'
import { prepareStore, STORE_FILE } from '../../../agent/commands/parts/store-file.ts'
import { openStoreParts } from '../../../agent/commands/parts/store-parts.ts'
import type { StoreParts } from '../../../agent/commands/parts/store-parts.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { Clock } from '../../../agent/contract/runtime.ts'
import { createApp } from '../../../agent/http/app.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { acquireLease } from '../../../agent/system/lease.ts'
import type { Lease } from '../../../agent/system/lease.ts'
import type { Random } from '../../support/properties.ts'
import { EXPIRY_MS, RETENTION_MS } from '../model.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import type { LogLine } from '../../support/memory/memory-log.ts'
import type { Network } from './network.ts'
import { DRIVER, closeOpened } from './world.ts'
import type { World } from './world.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { copied, copyDurable } from './simulated-sqlite.ts'
import { createRecentLines } from '../../../agent/system/recent-lines.ts'

export const ADMIN_TOKEN = 'the-admin-token-of-the-simulation'
/** Attempts of a start that the disk may fail. */
const STARTS_MAX = 5

const DATABASE = 'agent.db'

/** What a power cut or a careless operator does to the node-local state folder. */
export type StateFate = 'kept' | 'lost' | 'old-index' | 'no-index'

interface Running {
  readonly owner: Owner
  readonly parts: StoreParts
  readonly serving: Serving
  readonly lease: Lease
}

export class SimulatedAgent {
  readonly name: string
  readonly host: string
  readonly disk: SimulatedDisk
  readonly #world: World
  readonly #network: Network
  readonly #folder: string
  readonly #mount: string
  #boots = 0
  #owner: Owner | undefined
  #running: Running | undefined
  #failures = 0
  /** Lines of the log since the last start. */
  log: LogLine[] = []
  /** An error with which the agent could not start, although nothing was made to fail. */
  startFailure: unknown

  constructor(world: World, network: Network, folder: string, { name, host }: { readonly name: string; readonly host: string }) {
    this.#world = world
    this.#network = network
    this.name = name
    this.host = host
    this.#folder = join(folder, name)
    this.#mount = join(this.#folder, 'mount')
    this.disk = new SimulatedDisk(world.scheduler, this.#mount)
    mkdirSync(this.#state, { recursive: true })
    // The mount probe of the health checks looks at a real folder: it finds one that is well.
    mkdirSync(this.#mount, { recursive: true })
    writeFileSync(join(this.#mount, STORE_FILE), '{}')
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  get isStarting(): boolean {
    return this.#owner !== undefined && this.#running === undefined
  }

  /** The process of the present boot. */
  get owner(): Owner | undefined {
    return this.#owner
  }

  get parts(): StoreParts | undefined {
    return this.#running?.parts
  }

  get #state(): string {
    return join(this.#folder, `state-${this.#boots}`)
  }

  /** Begins to start; events do the rest. */
  async start(): Promise<void> {
    if (this.#owner) return
    const owner: Owner = { name: this.name, isAlive: true }
    this.#owner = owner
    this.log = []
    copyFolder(this.#state, `${this.#state}-before`, isIndex)
    await this.#world.scheduler.as(owner, () => {
      this.#open(owner).then(
        (running) => {
          this.#failures = 0
          this.disk.hasFailed = false
          this.#running = running
          this.#world.scheduler.note(`${this.name} serves`)
        },
        async (error: unknown) => {
          // A supervisor starts it again, as long as a disk that fails may be why.
          this.#world.scheduler.note(`${this.name} could not start`)
          if (++this.#failures >= STARTS_MAX || !this.disk.hasFailed) this.startFailure = error
          this.#world.scheduler.post(DRIVER, `${this.name} again`, () => void this.#again(owner))
        },
      )
    })
  }

  /** Ends in order, as after SIGTERM; resolves when it has begun, events do the rest. */
  async stop(): Promise<void> {
    const running = this.#running
    if (!running) return
    this.#running = undefined
    await this.#world.scheduler.as(running.owner, () => {
      const end = async (): Promise<void> => {
        await running.serving.stop()
        running.serving[Symbol.dispose]()
        await running.parts[Symbol.asyncDispose]()
        await running.lease[Symbol.asyncDispose]()
      }
      const gone = (): void => this.#world.scheduler.post(DRIVER, `${this.name} stopped`, () => this.#end('kept', false))
      end().then(gone, gone)
    })
  }

  /** The process dies here and now. */
  crash(random: Random): void {
    if (!this.#owner) return
    this.disk.processEnded(random)
    this.#end('kept', false)
  }

  /** The machine loses its power here and now. */
  losePower(random: Random, fate: StateFate): void {
    if (!this.#owner) return
    this.#end(fate, random.chance(0.5))
    this.disk.losePower(random)
  }

  async #again(owner: Owner): Promise<void> {
    if (this.#owner !== owner || this.startFailure !== undefined) return
    this.#end('kept', false)
    await this.start()
  }

  /** Ends the process and leaves its state folder for the next one, in a folder of its own: files that are still open belong to nobody. */
  #end(fate: StateFate, isDatabaseCut: boolean): void {
    const owner = this.#owner
    if (!owner) return
    this.#world.scheduler.end(owner)
    this.#network.ended(owner)
    this.#owner = undefined
    this.#running = undefined
    const before = this.#state
    this.#boots++
    if (fate === 'lost') mkdirSync(this.#state)
    else copyFolder(before, this.#state, (name) => !name.endsWith('-shm'))
    copied(join(before, DATABASE), join(this.#state, DATABASE))
    if (isDatabaseCut && fate !== 'lost') copyDurable(join(before, DATABASE), join(this.#state, DATABASE))
    closeOpened(owner)
    if (fate === 'no-index' || fate === 'old-index') this.#removeIndex()
    if (fate === 'old-index') copyFolder(`${before}-before`, this.#state, isIndex)
    rmSync(before, { recursive: true })
    rmSync(`${before}-before`, { recursive: true, force: true })
  }

  #removeIndex(): void {
    for (const name of readdirSync(this.#state)) if (isIndex(name)) rmSync(join(this.#state, name))
  }

  async #open(owner: Owner): Promise<Running> {
    const disk = route(this.disk.mounted(), createDisk(), this.#mount)
    const clock = createClock(this.#world.scheduler)
    const log = createMemoryLog(this.log)
    const config = this.#config()
    await disk.makeFolder(this.#mount)
    const outcome = await acquireLease({ disk, clock, log, identity: identityOf(this.name, this.#boots), onLost: () => {} }, this.#mount)
    if (outcome.kind === 'taken') throw new Error('the lease of the mount path is taken')
    const store = await prepareStore(disk, config.store, log)
    const foundation = {
      config,
      disk,
      clock,
      log,
      recentLog: createRecentLines(),
      crashPoint: () => {},
      store,
      lease: outcome.lease,
      restoredFrom: undefined,
      async [Symbol.asyncDispose]() {},
    }
    const parts = await openStoreParts(foundation)
    const serving = await openServing({ foundation, parts, listeners: { certificateEndMs: () => null, urls: ['http://127.0.0.1:8420'] }, version: '0.0.0' })
    const app = createApp(serving.app)
    this.#network.listen(this.host, { owner, answer: async (request) => app.fetch(request) })
    return { owner, parts, serving, lease: outcome.lease }
  }

  #config(): Config {
    return {
      store: { name: this.name, description: '', mount: this.#mount, zone: 'zone-1', scope: 'zone', reservedBytes: 0, state: this.#state },
      network: { listen: { host: '127.0.0.1', port: 0 }, data: '', sync: '', plainHttp: true },
      transfer: { uploadConcurrency: 2, downloadConcurrency: 2 },
      images: {
        retrieveExisting: false,
        deletion: 'delayed',
        retentionMs: RETENTION_MS,
        maxPerOwner: 0,
        maxBytesPerOwner: 0,
        pricePerGbMonth: '',
        enabled: true,
        installationRole: 'admin',
        kinds: [],
      },
      uploads: { expiryMs: EXPIRY_MS, lengthMax: 1024 ** 3, origins: [] },
      origins: [],
      sync: { peers: [], bytesPerSecond: 0, hours: [] },
      imports: { roots: [], allow: [], inboxSettleMs: undefined },
      schedules: { cleanup: '17 3 * * *', scrub: '41 1 * * 0', expire: '*/10 * * * *', timezone: 'UTC' },
      tls: undefined,
      process: { adminToken: ADMIN_TOKEN, logLevel: 'info', notifySocket: undefined, watchdogMs: undefined, crashPoint: undefined },
    }
  }
}

function isIndex(name: string): boolean {
  return name.startsWith('index.db')
}

/** Copies what is wanted of a folder, by its name, and all of its folders. `cpSync` takes several times as long for these few small files. */
function copyFolder(from: string, to: string, isWanted: (name: string) => boolean): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (!isWanted(entry.name)) continue
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copyFolder(source, target, isWanted)
    else copyFileSync(source, target)
  }
}

/** The mount path on the simulated disk, the state folder on the real one. */
function route(simulated: Disk, real: Disk, mount: string): Disk {
  const of = (path: string): Disk => (path === mount || path.startsWith(`${mount}/`) ? simulated : real)
  return {
    openRead: (path) => of(path).openRead(path),
    openWrite: (path, mode) => of(path).openWrite(path, mode),
    readFile: (path, lengthMax) => of(path).readFile(path, lengthMax),
    writeFileAtomic: (path, bytes) => of(path).writeFileAtomic(path, bytes),
    rename: (from, to) => of(from).rename(from, to),
    remove: (path) => of(path).remove(path),
    removeTree: (path) => of(path).removeTree(path),
    makeFolder: (path) => of(path).makeFolder(path),
    list: (path) => of(path).list(path),
    stat: (path) => of(path).stat(path),
    syncFolder: (path) => of(path).syncFolder(path),
    space: (path) => of(path).space(path),
  }
}

/** A process of a number that no process of this machine has, so that the lease of one that died is free at once. */
function identityOf(name: string, boot: number) {
  return { holder: name, hostname: 'simulation', bootId: 'simulation', pidNamespace: 'simulation', pid: 2 ** 30 + boot, startTime: String(boot) }
}

export function createClock(scheduler: Scheduler): Clock {
  return {
    nowMs: () => scheduler.nowMs,
    monotonicMs: () => scheduler.elapsedMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason)
          return
        }
        const remove = scheduler.timer(ms, `sleep ${ms} ms`, resolve)
        signal?.addEventListener(
          'abort',
          () => {
            remove()
            reject(signal.reason)
          },
          { once: true },
        )
      }),
    every(ms, run) {
      let remove = (): void => {}
      const next = (): void => {
        remove = scheduler.timer(ms, `tick every ${ms} ms`, () => {
          next()
          run()
        })
      }
      next()
      return { [Symbol.dispose]: () => remove() }
    },
  }
}
