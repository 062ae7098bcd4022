// A mixed load on one agent: clients that upload, resume uploads, read, delete, restore and remove at random, and an
// operator that runs cleanup and scrub. Records all acknowledgements in a ledger.

import type { AgentProcess } from './agent-process.ts'
import { PromiseBroken } from './ledger.ts'
import type { Ledger, LedgerImage, LedgerUpload } from './ledger.ts'
import type { Random } from '../properties.ts'

const KIB = 1024
/** Number of different blocks that images consist of, so that they share slices. */
const BLOCKS = 40
const BLOCK_BYTES = 256 * KIB
const IMAGE_BLOCKS_MAX = 12
/** Above these numbers the clients remove rather than add. */
const IMAGES_MAX = 14
const UPLOADS_MAX = 8
const CLIENTS = 3

export interface MixedLoad {
  /** Choices by kind, which show whether the load was mixed, including those without effect. */
  readonly counts: Readonly<Record<string, number>>
  /** Runs the clients until the promise resolves and their last requests have ended. Throws PromiseBroken. */
  run(until: Promise<unknown>): Promise<void>
}

export function createMixedLoad(agent: AgentProcess, ledger: Ledger, random: Random): MixedLoad {
  const blocks = Array.from({ length: BLOCKS }, () => random.bytes(BLOCK_BYTES))
  const counts: Record<string, number> = {}
  /** Items in use by one client, which the others do not touch, because two requests for one resource would only wait for each other. */
  const busy = new Set<LedgerUpload | LedgerImage>()
  let names = 0

  const newBytes = (): Uint8Array<ArrayBuffer> => {
    const parts = Array.from({ length: random.below(IMAGE_BLOCKS_MAX) }, () => (random.chance(0.1) ? Buffer.alloc(BLOCK_BYTES) : random.pick(blocks)))
    parts.push(random.bytes(1 + random.below(BLOCK_BYTES)))
    return new Uint8Array(Buffer.concat(parts))
  }
  const free = <T extends LedgerUpload | LedgerImage>(from: Iterable<T>): T | undefined => {
    const choice = [...from].filter((one) => !busy.has(one))
    return choice.length === 0 ? undefined : random.pick(choice)
  }
  const alone = async <T extends LedgerUpload | LedgerImage>(one: T | undefined, act: (one: T) => Promise<unknown>): Promise<void> => {
    if (!one) return
    busy.add(one)
    try {
      await act(one)
    } finally {
      busy.delete(one)
    }
  }

  const actions: Record<string, { readonly weight: number; run(): Promise<unknown> }> = {
    create: {
      weight: 5,
      run: async () => (ledger.uploads.size < UPLOADS_MAX && ledger.images.size < IMAGES_MAX ? ledger.create(newBytes(), `image ${names++}`) : undefined),
    },
    send: {
      weight: 10,
      run: () =>
        alone(free(ledger.uploads.values()), async (upload) => {
          const offset = random.chance(0.5) ? upload.acknowledged : await ledger.head(upload)
          if (offset === undefined) return
          const left = upload.bytes.byteLength - offset
          await ledger.send(upload, offset, random.chance(0.6) ? left : random.below(left + 1))
        }),
    },
    head: { weight: 2, run: () => alone(free(ledger.uploads.values()), (upload) => ledger.head(upload)) },
    terminate: { weight: 0.5, run: () => alone(free(ledger.uploads.values()), (upload) => ledger.terminate(upload)) },
    read: {
      weight: 4,
      run: () =>
        alone(free(ledger.images.values()), (image) => {
          const start = random.below(image.bytes.byteLength)
          return ledger.read(image, start, start + 1 + random.below(image.bytes.byteLength - start))
        }),
    },
    delete: {
      weight: 3,
      run: () =>
        alone(ledger.images.size > IMAGES_MAX / 2 ? free(ledger.images.values()) : undefined, (image) =>
          ledger.delete(image, { permanent: random.chance(0.3) }),
        ),
    },
    restore: {
      weight: 0.5,
      run: () => alone(free([...ledger.images.values()].filter(({ state }) => state !== 'kept')), (image) => ledger.restore(image)),
    },
    cleanup: { weight: 1.5, run: () => agent.client.store.cleanup() },
    scrub: { weight: 0.3, run: () => agent.client.schedules.run('scrub') },
    expire: { weight: 0.3, run: () => agent.client.schedules.run('expire') },
  }
  const total = Object.values(actions).reduce((sum, { weight }) => sum + weight, 0)
  const pick = (): [string, () => Promise<unknown>] => {
    let at = (random.below(1_000_000) / 1_000_000) * total
    for (const [name, { weight, run }] of Object.entries(actions)) if ((at -= weight) < 0) return [name, run]
    return ['head', () => Promise.resolve()]
  }

  return {
    counts,
    async run(until) {
      let isOver = false
      void until.then(() => (isOver = true))
      const client = async (): Promise<void> => {
        while (!isOver) {
          const [name, act] = pick()
          counts[name] = (counts[name] ?? 0) + 1
          try {
            await act()
          } catch (error) {
            if (error instanceof PromiseBroken) throw error
            // A killed agent does not respond until it is restarted.
            await Bun.sleep(1)
          }
          await Bun.sleep(0)
        }
      }
      await Promise.all(Array.from({ length: CLIENTS }, client))
    },
  }
}
