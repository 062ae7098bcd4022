// Runs one script: the steps one after the other, each with a share of the events that are ready, then a quiet end in which everything that was
// acknowledged must be there, after the last power cut too.

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import { contentOf } from '../support/images/slice-model.ts'
import { Clients } from './clients.ts'
import { EXPIRY_MS, RETENTION_MS, Violation } from './model.ts'
import { AGENTS, SLOTS_MAX } from './steps.ts'
import type { Step } from './steps.ts'
import { Network } from './world/network.ts'
import { SimulatedAgent } from './world/simulated-agent.ts'
import type { StateFate } from './world/simulated-agent.ts'
import type { Owner } from './world/scheduler.ts'
import { forgetDatabases } from './world/simulated-sqlite.ts'
import { endWorld, startWorld } from './world/world.ts'
import type { World } from './world/world.ts'

/** A memory file system for the databases of the agents. */
const SCRATCH = '/dev/shm'
/** Events of one awaited operation, of a phase of the end, and virtual time of the latter in milliseconds: more means that something hangs. */
const OPERATION_EVENTS_MAX = 20_000
const QUIET_EVENTS_MAX = 400_000
const RETRY_MS = 61_000
const QUIET_MS_MAX = 4 * 3_600_000

/** One in so many seeds ends with the emptying of the stores, which takes a day of virtual time. */
const EMPTIED_SEEDS = 20

/** Damaged images that are uploaded again at the end. */
const REPEATED_MAX = 4

export interface RunResult {
  readonly failure: Error | undefined
  /** The step during which it failed, or what was checked at the end. */
  readonly where: string
  readonly events: number
  readonly traceHash: string
  readonly elapsedMs: number
}

export interface RunOptions {
  /** Called with each step and event, to print them. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** Runs a script under a seed. */
export async function runScript(seed: number, steps: readonly Step[], options: RunOptions = {}): Promise<RunResult> {
  const folder = mkdtempSync(join(SCRATCH, 'slipway-simulation-'))
  const simulation = new Simulation(startWorld(seed), seed, folder)
  simulation.world.scheduler.onEvent = options.onLine
  let failure: Error | undefined
  try {
    await simulation.start()
    for (const step of steps) await simulation.take(step)
    await simulation.finish()
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
  } finally {
    endWorld()
    forgetDatabases()
    rmSync(folder, { recursive: true, force: true })
  }
  const { scheduler } = simulation.world
  return { failure, where: simulation.where, events: scheduler.count, traceHash: scheduler.traceHash, elapsedMs: scheduler.elapsedMs }
}

/** An operation of a client in progress. */
type Operation = object

class Simulation {
  readonly world: World
  where = 'start'
  readonly #seed: number
  readonly #network: Network
  readonly #agents: readonly SimulatedAgent[]
  readonly #clients: Clients
  readonly #people: Owner = { name: 'client', isAlive: true }
  /** Operations of clients in progress, and what went wrong with one. */
  readonly #operations = new Set<Operation>()
  #failure: Error | undefined

  constructor(world: World, seed: number, folder: string) {
    this.world = world
    this.#seed = seed
    this.#network = new Network(world)
    world.fetch = this.#network.fetch
    this.#agents = Array.from(
      { length: AGENTS },
      (_agent, i) => new SimulatedAgent(world, this.#network, folder, { name: `agent-${i}`, host: `10.0.0.${i + 1}:8420` }),
    )
    this.#clients = new Clients(this.#agents, this.#network)
  }

  async start(): Promise<void> {
    await this.#untilServing('the agents start')
  }

  /** Takes one step of the script. */
  async take(step: Step): Promise<void> {
    this.where = `step ${step.id} ${step.op}`
    const { scheduler } = this.world
    const random = createRandom(Bun.hash.xxHash32(`${this.#seed} ${step.id}`))
    scheduler.random = random
    scheduler.onEvent?.(`step ${JSON.stringify(step)}`)
    const operation = await this.#begin(step, random)
    // An operation that is awaited may still have to wait for an agent that is down.
    if (operation && step.isAwaited) await this.#during(operation, OPERATION_EVENTS_MAX)
    for (let i = 0; i < step.events && scheduler.hasReady; i++) await this.#step()
    // Whoever supervises the agents starts them again.
    for (const agent of this.#agents) if (random.chance(0.7)) await agent.start()
    this.#check()
  }

  async #begin(step: Step, random: Random): Promise<Operation | undefined> {
    const clients = this.#clients
    const isRestoring = step.op === 'restore' || step.op === 'restore-while-pruning'
    const image = 'image' in step ? clients.images.byNumber(step.image, isRestoring) : undefined
    const agent = 'agent' in step ? this.#agents[step.agent] : undefined
    switch (step.op) {
      case 'create':
        return this.#operate(() => clients.uploads.create(step.slot, step.agent, contentOf(step.content), step.isPart))
      case 'send':
        return this.#operate(() =>
          Promise.all([clients.uploads.send(step.slot, step.bytes, step.cutAt, step.as), step.isDuringGc && clients.upkeep.cleanOf(step.slot)]),
        )
      case 'head':
        return this.#operate(() => clients.uploads.head(step.slot))
      case 'peek':
        return this.#operate(() => clients.uploads.peek(step.slot))
      case 'cancel':
        return this.#operate(() => clients.uploads.cancel(step.slot))
      case 'concat':
        return this.#operate(() => clients.uploads.concatenate(step.slot, step.agent, step.parts))
      case 'read':
        return image && this.#operate(() => clients.images.read(image, step.from, step.to))
      case 'look':
        return image && this.#operate(() => clients.images.look(image))
      case 'delete':
      case 'purge':
        return image && this.#operate(() => clients.images.delete(image, step.op === 'purge'))
      case 'restore':
        return image && this.#operate(() => clients.images.restore(image))
      case 'restore-while-pruning':
        return image && this.#operate(() => Promise.all([clients.images.restore(image), clients.upkeep.maintain(image.agent, 'cleanup')]))
      case 'sync':
        return image && this.#operate(() => Promise.all([clients.upkeep.sync(image, step.to), step.isDuringGc && clients.upkeep.maintain(step.to, 'cleanup')]))
      case 'list':
        return this.#operate(() => clients.images.list(step.agent))
      case 'cleanup':
      case 'scrub':
      case 'expire':
        return this.#operate(() => clients.upkeep.maintain(step.agent, step.op))
      case 'tasks':
        return this.#operate(async () => {
          await clients.upkeep.tasks(step.agent)
          await clients.upkeep.tokens(step.agent)
        })
      case 'token':
        return this.#operate(() => clients.upkeep.createToken(step.agent))
      case 'untoken':
        return this.#operate(() => clients.upkeep.deleteToken(step.agent))
      case 'crash':
        this.#ends(agent, () => agent?.crash(random))
        return undefined
      case 'power':
        this.#losePower(step.agent, random, step.state)
        return undefined
      case 'restart':
        await agent?.stop()
        return undefined
      case 'rot':
        this.#rot(step.agent, random)
        return undefined
      case 'fault':
        agent?.disk.failAt(step.after, step.fault)
        return undefined
      case 'lie':
        this.#network.tampering.set(agent?.host ?? '', lyingPeer(random))
        return undefined
      case 'wait':
        await this.world.scheduler.advance(step.ms, QUIET_EVENTS_MAX)
        return undefined
      default:
        return step satisfies never
    }
  }

  /** Everything that was acknowledged must be there once nothing fails any more, and after a power cut that keeps nothing else. */
  async finish(): Promise<void> {
    const { scheduler } = this.world
    scheduler.random = createRandom(this.#seed)
    this.#network.tampering.clear()
    await this.#verify('at the end')
    for (const [i] of this.#agents.entries()) this.#losePower(i, createRandom(this.#seed + i), 'kept')
    await this.#verify('after the last power cut')
    for (const what of ['cleanup', 'scrub'] as const) await this.#maintain(what)
    await this.#verify('after gc and scrub')
    for (const [i] of this.#agents.entries()) this.#losePower(i, createRandom(this.#seed + i), this.#seed % 2 === 0 ? 'lost' : 'old-index')
    await this.#verify('after the index was lost')
    await this.#repeatUploads()
    if (this.#seed % EMPTIED_SEEDS === 0) await this.#empty()
  }

  /** What was damaged is stored again by whoever uploads it again, because scrub has found it. */
  async #repeatUploads(): Promise<void> {
    const damaged = this.#clients.expected.images.filter(({ mayBeDamaged }) => mayBeDamaged).slice(-REPEATED_MAX)
    if (damaged.length === 0) return
    // An index from before the last scrub does not have its findings.
    await this.#maintain('scrub')
    for (const [i, image] of damaged.entries()) {
      await this.#quietly(() => this.#clients.uploads.create(SLOTS_MAX + i, image.agent, image.bytes, false), 'the creation of an upload')
      await this.#quietly(() => this.#clients.uploads.send(SLOTS_MAX + i, image.bytes.length, null, 'bytes'), 'an upload')
    }
    await this.#verify('after what was damaged was uploaded again')
  }

  /** Once nothing is needed any more, nothing is kept: abandoned uploads and syncs expire, and gc finds every slice. */
  async #empty(): Promise<void> {
    this.where = 'emptying the stores'
    for (const [i] of this.#agents.entries()) await this.#surely(() => this.#clients.images.purgeAll(i), 'purging all images')
    await this.world.scheduler.advance(EXPIRY_MS + RETENTION_MS, QUIET_EVENTS_MAX)
    for (const [i] of this.#agents.entries()) await this.#quietly(() => this.#clients.upkeep.maintain(i, 'cleanup'), 'cleanup')
    await this.#untilTasksEnd()
    for (const [i, agent] of this.#agents.entries()) {
      const slices = agent.parts?.slices.stats().slices ?? 0
      if (slices > 0 && !this.#clients.wasRotten.has(i)) throw new Violation(`${agent.name} keeps ${slices} slices that nothing needs`)
    }
  }

  async #maintain(what: 'cleanup' | 'scrub'): Promise<void> {
    this.where = what
    for (const [i] of this.#agents.entries()) await this.#quietly(() => this.#clients.upkeep.maintain(i, what), what)
    await this.#untilTasksEnd()
  }

  async #verify(when: string): Promise<void> {
    this.where = when
    const mayHaveFailed = this.#agents.some(({ disk }) => disk.mayFail)
    for (const agent of this.#agents) agent.disk.clearFault()
    await this.#until(() => this.#operations.size === 0, `operations end ${when}`, QUIET_EVENTS_MAX)
    await this.#untilServing(`the agents start ${when}`)
    // What a failing disk held up is tried again within a minute.
    if (mayHaveFailed) await this.world.scheduler.advance(RETRY_MS, QUIET_EVENTS_MAX)
    for (const agent of this.#agents) agent.disk.mayFail = false
    await this.#untilTasksEnd()
    const { expected } = this.#clients
    for (const upload of expected.uploads.values()) await this.#surely(() => this.#clients.uploads.headOf(upload), `asking for upload ${upload.name}`)
    for (const [i] of this.#agents.entries()) {
      await this.#surely(() => this.#clients.images.list(i), 'a list of images')
      await this.#surely(() => this.#clients.upkeep.tokens(i), 'a list of tokens')
    }
    for (const image of expected.images) {
      await this.#surely(() => this.#clients.images.look(image), `looking at image ${image.name}`)
      const isLive = image.states.size === 1 && image.states.has('live')
      let outcome: string = ''
      await this.#quietly(async () => {
        outcome = await this.#clients.images.read(image)
      }, 'a read')
      if (isLive && outcome !== 'same' && !image.mayBeDamaged)
        throw new Violation(`image ${image.name} (${image.id}) must be readable ${when}, and is ${outcome}`)
    }
    this.#check()
  }

  async #untilTasksEnd(): Promise<void> {
    const { expected } = this.#clients
    const endMs = this.world.scheduler.elapsedMs + QUIET_MS_MAX
    for (;;) {
      for (const [i] of this.#agents.entries()) await this.#surely(() => this.#clients.upkeep.tasks(i), 'a look at the tasks')
      const open = expected.tasks.find(({ endedAs }) => endedAs === undefined)
      if (!open) return
      if (this.world.scheduler.elapsedMs > endMs) throw new Violation(`the ${open.kind} task ${open.id} does not end`)
      await this.world.scheduler.advance(1000, QUIET_EVENTS_MAX)
      this.#check()
    }
  }

  /** An operation without failures around it must be answered. */
  async #surely(run: () => Promise<boolean>, what: string): Promise<void> {
    let isAnswered = false
    await this.#quietly(async () => {
      isAnswered = await run()
    }, what)
    if (!isAnswered) throw new Violation(`${what} was not answered`)
  }

  async #quietly(run: () => Promise<unknown>, what: string): Promise<void> {
    const operation = await this.#operate(run)
    await this.#during(operation, QUIET_EVENTS_MAX, what)
  }

  #losePower(number: number, random: Random, state: StateFate): void {
    const agent = this.#agents[number]
    if (!agent?.owner) return
    this.#ends(agent, () => agent.losePower(random, state))
    if (state === 'lost') this.#clients.upkeep.stateLost(number)
  }

  #ends(agent: SimulatedAgent | undefined, end: () => void): void {
    const owner = agent?.owner
    if (!owner) return
    end()
    for (const image of this.#clients.expected.images) image.ended(owner)
  }

  /** Damages a record of a pack where it is stored. */
  #rot(number: number, random: Random): void {
    const { disk } = this.#agents[number] ?? {}
    const packs = [...(disk?.files(/\.pack$/) ?? [])].filter(({ bytes }) => bytes.length > 200)
    if (!disk || packs.length === 0) return
    const pack = random.pick(packs)
    const at = 100 + random.below(pack.bytes.length - 100)
    disk.damage(pack.path, at, Uint8Array.of((pack.bytes[at] ?? 0) ^ (1 + random.below(255))))
    this.#clients.upkeep.rot(number)
  }

  /** Begins an operation of a client. */
  async #operate(run: () => Promise<unknown>): Promise<Operation> {
    const operation: Operation = {}
    this.#operations.add(operation)
    await this.world.scheduler.as(this.#people, () => {
      run()
        .catch((error: unknown) => {
          this.#failure ??= error instanceof Error ? error : new Error(String(error))
        })
        .finally(() => this.#operations.delete(operation))
    })
    return operation
  }

  async #during(operation: Operation, eventsMax: number, what?: string): Promise<void> {
    await this.#until(() => !this.#operations.has(operation), what, eventsMax)
  }

  /** Starts the agents that do not run, also those that are still stopping. */
  async #untilServing(what: string): Promise<void> {
    for (let events = 0; !this.#agents.every(({ isRunning }) => isRunning); events++) {
      for (const agent of this.#agents) await agent.start()
      this.#check()
      if (events >= QUIET_EVENTS_MAX || !(await this.#step())) throw new Violation(`${what}: this does not come to an end`)
    }
  }

  /** Runs events until something holds; without a name it may also not come to hold. */
  async #until(holds: () => boolean, what: string | undefined, eventsMax: number): Promise<void> {
    for (let events = 0; !holds(); events++) {
      this.#check()
      if (events < eventsMax && (await this.#step())) continue
      if (what === undefined) return
      throw new Violation(`${what}: this does not come to an end`)
    }
    this.#check()
  }

  async #step(): Promise<boolean> {
    const isDone = await this.world.scheduler.step()
    if (this.#failure) throw this.#failure
    return isDone
  }

  #check(): void {
    if (this.#failure) throw this.#failure
    for (const agent of this.#agents) if (agent.startFailure !== undefined) throw new Violation(`${agent.name} cannot start: ${describe(agent.startFailure)}`)
    const [error] = this.world.unhandled
    if (error !== undefined) throw new Violation(`an error that nobody handles: ${describe(error)}`)
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Changes one byte of every answer with slices. */
function lyingPeer(random: Random) {
  return {
    answer(url: URL, _method: string, body: Uint8Array): Uint8Array {
      if (url.pathname !== '/v1/slices/fetch' || body.length < 100) return body
      const lied = Uint8Array.from(body)
      const at = 48 + random.below(lied.length - 96)
      lied[at] = (lied[at] ?? 0) ^ 0x41
      return lied
    },
  }
}
