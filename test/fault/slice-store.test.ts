// The slice store on a failing disk: for every operation of a scenario and every kind of failure, the store is reopened, scrubbed and compared with
// what was acknowledged. Nothing acknowledged is lost, no wrong byte is served, nothing leaks. With SLIPWAY_ALL_FAULTS=1 every operation is tried;
// otherwise as many as a few seconds allow, chosen differently in every run. SLIPWAY_FAULT_AT tries one.

import { describe, expect, test } from 'bun:test'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManifestEntry } from '../../protocol/slices/manifest.ts'
import type { Disk } from '../../agent/contract/disk.ts'
import type { OpenSliceStore } from '../../agent/slices/store.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { FAULTS } from '../support/machine/fault-gate.ts'
import { createFaultyDisk } from '../support/machine/faulty-disk.ts'
import type { Fault } from '../support/machine/fault-gate.ts'
import type { FaultyDisk } from '../support/machine/faulty-disk.ts'
import { createManifestFolder } from '../support/images/manifest-folder.ts'
import type { ManifestFolder } from '../support/images/manifest-folder.ts'
import { createRandom, runSeed } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import { damage, digestsOf, filesBelow, openStore, readBack, SMALL_CUTTER } from '../support/images/slice-model.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

const isWhole = process.env['SLIPWAY_ALL_FAULTS'] === '1'
/** Time for one scenario with one kind of failure in milliseconds, when not every operation is tried. */
const BUDGET_MS = 1200
/** The operation to repeat, as printed by a failed run. */
const only = process.env['SLIPWAY_FAULT_AT']
const PACK_BYTES = 12 * 1024

/** Returns the content of an image by its name. Images whose names have the same first letter share half of it. */
function contentOfName(name: string): Buffer {
  const shared = createRandom(name.charCodeAt(0)).bytes(12 * SMALL_CUTTER.block)
  const own = createRandom(Bun.hash.crc32(name)).bytes(12 * SMALL_CUTTER.block)
  return Buffer.concat([shared, Buffer.alloc(8 * SMALL_CUTTER.block), own])
}

/** What was acknowledged so far. */
interface Promises {
  /** Images that were published and whose removal has not started. */
  readonly published: Set<string>
  readonly removed: Set<string>
  /** Bytes of unfinished uploads that were acknowledged. */
  readonly offsets: Map<string, number>
}

/** A store with its manifests, on one disk, and what it acknowledged. */
class World implements AsyncDisposable {
  readonly promises: Promises
  readonly store: OpenSliceStore
  readonly images: ManifestFolder
  readonly uploads: ManifestFolder

  private constructor(store: OpenSliceStore, images: ManifestFolder, uploads: ManifestFolder, promises: Promises) {
    this.store = store
    this.images = images
    this.uploads = uploads
    this.promises = promises
  }

  static async open(folder: string, disk: Disk, promises: Promises, rebuild = false): Promise<World> {
    const images = createManifestFolder(disk, join(folder, 'mount', 'images'))
    const uploads = createManifestFolder(disk, join(folder, 'mount', 'uploads'))
    const store = await openStore({ folder, disk, roots: [uploads, images], packSealBytes: PACK_BYTES, rebuild })
    try {
      await images.open()
      await uploads.open()
    } catch (error) {
      await store[Symbol.asyncDispose]()
      throw error
    }
    return new World(store, images, uploads, promises)
  }

  /** Uploads as a client does: checkpoints go into a journal, and the last one into an image. */
  async upload(name: string, options: { finish: boolean } = { finish: true }): Promise<void> {
    const content = contentOfName(name)
    await using ingest = this.store.ingest({ offset: 0, tail: new Uint8Array(0) })
    this.promises.removed.delete(name)
    const entries: ManifestEntry[] = []
    const part = Math.ceil(content.length / 3)
    for (let at = 0; at < content.length; at += part) {
      await ingest.write(content.subarray(at, at + part))
      const checkpoint = await ingest.checkpoint()
      entries.push(...checkpoint.entries)
      await this.uploads.write(name, entries)
      this.promises.offsets.set(name, lengthOf(entries))
      checkpoint.release()
    }
    if (!options.finish) return
    const end = await ingest.finish()
    await this.images.write(name, [...entries, ...end.entries])
    this.promises.published.add(name)
    end.release()
    this.promises.offsets.delete(name)
    await this.uploads.remove(name)
  }

  async remove(name: string): Promise<void> {
    this.promises.published.delete(name)
    await this.images.remove(name)
    this.promises.removed.add(name)
  }

  /** Compares everything acknowledged with what the store returns. `damaged` images may be unreadable, but never wrong. */
  async check(damaged: ReadonlySet<string> = new Set()): Promise<void> {
    const names = await this.images.names()
    for (const name of this.promises.published) if (!names.includes(name)) throw new Error(`image ${name} was published and is missing`)
    for (const name of this.promises.removed) if (names.includes(name)) throw new Error(`image ${name} was removed and still exists`)
    for (const name of names) await this.#expectContent(name, this.images, contentOfName(name).length, damaged)
    const uploads = await this.uploads.names()
    for (const [name, offset] of this.promises.offsets) {
      if (!uploads.includes(name)) throw new Error(`upload ${name} had ${offset} bytes and is missing`)
      await this.#expectContent(name, this.uploads, offset, damaged)
    }
  }

  async #expectContent(name: string, folder: ManifestFolder, lengthMin: number, damaged: ReadonlySet<string>): Promise<void> {
    const manifest = await folder.read(name)
    if (manifest.imageLength < lengthMin) throw new Error(`${name} holds ${manifest.imageLength} of ${lengthMin} bytes`)
    let bytes: Buffer
    try {
      bytes = await readBack(this.store, manifest)
    } catch (error) {
      if (damaged.has(name)) return
      throw new Error(`${name} cannot be read`, { cause: error })
    }
    if (!bytes.equals(contentOfName(name).subarray(0, manifest.imageLength))) throw new Error(`${name} has wrong bytes`)
  }

  /** Expects that after a gc the store has exactly the slices that its roots reference. */
  async expectNoLeak(): Promise<void> {
    const report = await this.store.gc({ dryRun: false })
    const live = new Set<string>()
    for (const folder of [this.images, this.uploads])
      for (const name of await folder.names()) for (const digest of digestsOf(await folder.read(name))) live.add(digest)
    const present = [...live].filter((hex) => this.store.missing([Buffer.from(hex, 'hex')]).length === 0)
    const { slices } = this.store.stats()
    if (slices !== present.length)
      throw new Error(`after a gc the store holds ${slices} slices, of which ${present.length} are referenced: ${JSON.stringify(report)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]()
  }
}

/** Waits for all promises, then throws the first error. */
async function both(...work: Promise<unknown>[]): Promise<void> {
  for (const { status, reason } of (await Promise.allSettled(work)) as { status: string; reason?: unknown }[]) if (status === 'rejected') throw reason
}

const lengthOf = (entries: readonly ManifestEntry[]): number => entries.reduce((sum, { length }) => sum + length, 0)
const noPromises = (): Promises => ({ published: new Set(), removed: new Set(), offsets: new Map() })
const copyOf = ({ published, removed, offsets }: Promises): Promises => ({
  published: new Set(published),
  removed: new Set(removed),
  offsets: new Map(offsets),
})

interface Scenario {
  readonly name: string
  /** Images that are stored before the scenario, in this order. */
  readonly before: readonly string[]
  /** Damages the closed store before it is opened. */
  readonly spoil?: (mount: string) => Promise<void>
  readonly rebuild?: boolean
  /** Names of images that `spoil` may have made unreadable. */
  readonly damaged?: readonly string[]
  run(world: World): Promise<void>
}

const scenarios: readonly Scenario[] = [
  {
    name: 'uploads and publish',
    before: ['a1'],
    async run(world) {
      await world.upload('a2')
      await both(world.upload('b1'), world.upload('b2'))
      await world.upload('c1', { finish: false })
    },
  },
  {
    name: 'delete and gc',
    before: ['a1', 'a2', 'b1', 'b2', 'c1'],
    async run(world) {
      await world.remove('a1')
      await world.remove('b1')
      await world.store.gc({ dryRun: false })
      await world.upload('b1')
    },
  },
  {
    name: 'gc that rewrites during an upload',
    before: ['a1', 'b1', 'c1', 'd1', 'e1', 'f1'],
    async run(world) {
      for (const name of ['a1', 'c1', 'd1', 'f1']) await world.remove(name)
      await both(world.store.gc({ dryRun: false }), world.upload('a3'))
    },
  },
  {
    name: 'scrub over damage',
    before: ['a1', 'b1', 'c1'],
    damaged: ['a1', 'a2', 'b1', 'c1'],
    spoil: async (mount) => damage((await filesBelow(mount, '.pack'))[0] ?? '', 16 + 64 + 10),
    async run(world) {
      await world.store.scrub({ bytesPerSecond: Infinity })
      await world.upload('d1')
      await world.store.gc({ dryRun: false })
    },
  },
  {
    name: 'recover',
    before: ['a1', 'b1', 'c1'],
    rebuild: true,
    async spoil(mount) {
      const file = await createDisk().openWrite((await filesBelow(mount, '.pack'))[0] ?? '', 'existing')
      await file.write([createRandom(1).bytes(777)], await file.length())
      await file.close()
    },
    run: async (world) => world.upload('a2'),
  },
]

interface Prepared {
  readonly template: string
  readonly promises: Promises
}

/** Prepares the closed store with which a scenario starts. */
async function prepare(scenario: Scenario, template: string): Promise<Prepared> {
  const promises = noPromises()
  {
    await using world = await World.open(template, createDisk(), promises)
    for (const name of scenario.before) await world.upload(name)
  }
  await scenario.spoil?.(join(template, 'mount'))
  return { template, promises }
}

/** Runs a scenario on a copy of the prepared store; returns the world if it is open, and the error if there was one. */
async function runOn(scenario: Scenario, folder: string, disk: FaultyDisk, promises: Promises): Promise<{ world: World | undefined; error: unknown }> {
  let world: World | undefined
  try {
    world = await World.open(folder, disk, promises, scenario.rebuild)
    await scenario.run(world)
    return { world, error: undefined }
  } catch (error) {
    return { world, error }
  }
}

/** Checks everything that must hold once the disk works again. */
async function checkAfterwards(scenario: Scenario, folder: string, disk: Disk, promises: Promises): Promise<void> {
  const damaged = new Set(scenario.damaged)
  for (const rebuild of [false, true]) {
    await using world = await World.open(folder, disk, promises, rebuild)
    await world.check(damaged)
    const report = await world.store.scrub({ bytesPerSecond: Infinity })
    if (damaged.size === 0) expect(report).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
    expect(report.damagedRoots.filter((name) => !damaged.has(name))).toEqual([])
    await world.expectNoLeak()
    await world.check(damaged)
    await world.upload(rebuild ? 'z1' : 'z2')
    await world.check(damaged)
  }
}

/** Injects one failure at one operation; returns false when the scenario ended before that operation. */
async function fail(
  scenario: Scenario,
  { template, promises: before }: Prepared,
  folder: string,
  fault: Fault,
  lasting: boolean,
  at: number,
  random: Random,
): Promise<boolean> {
  await rm(folder, { recursive: true, force: true })
  await cp(template, folder, { recursive: true })
  const promises = copyOf(before)
  const disk = await createFaultyDisk(join(folder, 'mount'))
  disk.plan({ at, fault, lasting })
  const { world, error } = await runOn(scenario, folder, disk, promises)
  if (!disk.hasFailed) {
    await world?.[Symbol.asyncDispose]()
    if (error !== undefined) throw error
    return false
  }
  if (!disk.isDead) {
    disk.clearFault()
    if (world) {
      // The store works without being reopened; packs that could not be read at the start are read by the next pass.
      await world.store.scrub({ bytesPerSecond: Infinity })
      await world.check(new Set(scenario.damaged))
      await world.upload('y1')
      await world.expectNoLeak()
      await world.check(new Set(scenario.damaged))
      await world[Symbol.asyncDispose]()
    }
    await checkAfterwards(scenario, folder, disk, promises)
    return true
  }
  await world?.[Symbol.asyncDispose]().catch(() => {})
  if (fault === 'kill') {
    disk.revive()
    // Another process relies on the writes of the killed one, and then the power fails.
    await using second = await World.open(folder, disk, promises)
    for (const name of ['a1', 'a2', 'b1', 'x1']) if (!(await second.images.names()).includes(name)) await second.upload(name)
    await second.check(new Set(scenario.damaged))
    await disk.losePower(random)
    await second[Symbol.asyncDispose]().catch(() => {})
  } else {
    await disk.losePower(random)
  }
  disk.revive()
  // The index database is on another disk: it is kept, deleted, or replaced by an older one.
  const state = join(folder, 'state')
  const fate = random.below(3)
  if (fate > 0) await rm(state, { recursive: true, force: true })
  if (fate === 2) await cp(join(template, 'state'), state, { recursive: true })
  await checkAfterwards(scenario, folder, disk, promises)
  return true
}

describe('slice store on a failing disk', () => {
  const seed = runSeed()
  for (const scenario of scenarios) {
    for (const [fault, lasting] of [...FAULTS.map((kind) => [kind, false] as const), ['ENOSPC', true] as const, ['EIO', true] as const]) {
      test(
        `${scenario.name}: ${lasting ? 'lasting ' : ''}${fault} (SLIPWAY_SEED=${seed})`,
        async () => {
          const random = createRandom(seed)
          await using folder = await createTemporaryFolder()
          const prepared = await prepare(scenario, folder.file('template'))
          const total = await countOperations(scenario, prepared, folder.file('copy'))
          const order = only === undefined ? Array.from({ length: total }, (_, i) => i + 1) : [Number(only)]
          const endMs = performance.now() + BUDGET_MS
          let tried = 0
          while (order.length > 0 && (isWhole || tried === 0 || performance.now() < endMs)) {
            const [at = 1] = order.splice(isWhole ? 0 : random.below(order.length), 1)
            try {
              if (await fail(scenario, prepared, folder.file('copy'), fault, lasting, at, random)) tried++
            } catch (error) {
              throw new Error(`${lasting ? 'lasting ' : ''}${fault} at operation ${at} of ${total}`, { cause: error })
            }
          }
          expect(tried).toBeGreaterThan(0)
        },
        isWhole ? 3_600_000 : 60_000,
      )
    }
  }
})

/** Counts the operations of a scenario without failures, which must succeed. */
async function countOperations(scenario: Scenario, { template, promises }: Prepared, folder: string): Promise<number> {
  await cp(template, folder, { recursive: true })
  const disk = await createFaultyDisk(join(folder, 'mount'))
  const { world, error } = await runOn(scenario, folder, disk, copyOf(promises))
  if (error !== undefined) throw error
  const { operations } = disk
  await world?.check(new Set(scenario.damaged))
  await world?.[Symbol.asyncDispose]()
  return operations
}
