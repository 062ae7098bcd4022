// The mixed load whose disk is recorded: clients that upload, resume, delete, restore and administer at random.

import type { AgentProcess } from '../support/agents/agent-process.ts'
import { PromiseBroken } from '../support/agents/ledger.ts'
import type { Random } from '../support/properties.ts'
import type { History } from './history.ts'
import { createRecordedClient } from './recorded-client.ts'

const KIB = 1024
/** Images consist of blocks that they share and of bytes of their own. */
const BLOCKS = 24
const BLOCK_BYTES = 256 * KIB
const IMAGE_BLOCKS_MAX = 8
const OWN_BYTES_MAX = 1024 * KIB
/** Probability of a long image: while its pack is being synced, other requests flush the disk. */
const LONG_CHANCE = 0.04
const LONG_BYTES = 8 * 1024 * KIB
/** Above these numbers the clients remove rather than add. */
const IMAGES_MAX = 12
const UPLOADS_MAX = 6
/** Bytes of all images together: bounds the log and the time that a comparison takes. */
const CREATED_BYTES_MAX = 120 * 1024 * KIB
/** Longest time after which a body is cut, in milliseconds. */
const CUT_MS_MAX = 40
const CLIENTS = 4

export interface SyncSource {
  readonly url: string
  readonly token: string
  readonly images: readonly { readonly id: string; readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

export interface Workload {
  /** Choices of the clients by kind, including those without effect. */
  readonly counts: Readonly<Record<string, number>>
  /** Runs the clients until `isOver` returns true; resolves when their last requests have ended. Requests may fail from then on. */
  run(isOver: () => boolean): Promise<void>
}

/** Creates clients of an agent, which may be restarted between two runs. */
export function createWorkload(agent: AgentProcess, history: History, source: SyncSource | undefined, random: Random): Workload {
  const client = createRecordedClient(agent, history)
  const blocks = Array.from({ length: BLOCKS }, () => random.bytes(BLOCK_BYTES))
  const unsynced = [...(source?.images ?? [])]
  /** Items in use by one client, which the others do not touch, so that the order of changes is known. */
  const busy = new Set<unknown>()
  const counts: Record<string, number> = {}
  let [names, createdBytes] = [0, 0]

  const newBytes = (blocksMax = IMAGE_BLOCKS_MAX): Uint8Array<ArrayBuffer> => {
    const parts = Array.from({ length: random.below(blocksMax) }, () => (random.chance(0.1) ? Buffer.alloc(BLOCK_BYTES) : random.pick(blocks)))
    parts.push(random.bytes(random.chance(LONG_CHANCE) ? LONG_BYTES : 1 + random.below(OWN_BYTES_MAX)))
    const bytes = new Uint8Array(Buffer.concat(parts))
    createdBytes += bytes.byteLength
    return bytes
  }
  const newName = (what: string): string => `${what} ${names++}`
  const alone = async <T>(from: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> => {
    const free = from.filter((one) => !busy.has(one))
    if (free.length === 0) return
    const one = random.pick(free)
    busy.add(one)
    try {
      await act(one)
    } finally {
      busy.delete(one)
    }
  }
  const exclusively = (what: string, act: () => Promise<unknown>): Promise<void> => alone([what], act)
  const openUploads = () => history.uploads.filter(({ path, state }) => path !== undefined && state.last === 'open')
  const images = (state: string) => history.images.filter((image) => image.id !== undefined && image.state.last === state)
  const hasRoom = (): boolean => createdBytes < CREATED_BYTES_MAX && images('kept').length < IMAGES_MAX

  const actions: Readonly<Record<string, { readonly weight: number; run(): Promise<unknown> }>> = {
    create: { weight: 5, run: async () => (hasRoom() && openUploads().length < UPLOADS_MAX ? client.create(newName('image'), newBytes()) : undefined) },
    send: {
      weight: 12,
      run: () =>
        alone(openUploads(), (upload) => {
          const left = upload.bytes.byteLength - (upload.offsets.at(-1)?.offset ?? 0)
          if (random.chance(0.3)) return client.send(upload, left, 1 + random.below(CUT_MS_MAX))
          return client.send(upload, random.chance(0.5) ? left : random.below(left + 1))
        }),
    },
    head: { weight: 2, run: () => alone(openUploads(), (upload) => client.head(upload)) },
    terminate: { weight: 0.7, run: () => alone(openUploads(), (upload) => client.terminate(upload)) },
    whole: { weight: 2, run: async () => (hasRoom() ? client.createWhole(newName('whole'), newBytes(4)) : undefined) },
    concatenate: {
      weight: 1,
      run: async () => {
        if (!hasRoom()) return
        const parts = [await client.createWhole(newName('part'), newBytes(3), true), await client.createWhole(newName('part'), newBytes(3), true)]
        if (parts.every(({ state }) => state.last === 'finished')) await client.concatenate(newName('final'), parts)
      },
    },
    delete: { weight: 3, run: () => alone(images('kept').length > IMAGES_MAX / 2 ? images('kept') : [], (image) => client.delete(image, random.chance(0.5))) },
    purge: { weight: 1, run: () => alone(images('binned').slice(0, 3), (image) => client.delete(image, true)) },
    restore: { weight: 1, run: () => alone(images('binned'), (image) => client.restore(image)) },
    describe: { weight: 1.5, run: () => alone(images('kept'), (image) => client.describe(image, newName('description'))) },
    createToken: { weight: 1.5, run: () => client.createToken(newName('token')) },
    revokeToken: {
      weight: 1,
      run: () =>
        alone(
          history.tokens.filter(({ id, state }) => id !== undefined && state.last === 'valid'),
          (token) => client.revokeToken(token),
        ),
    },
    disable: {
      weight: 0.4,
      run: () =>
        exclusively('enabled', async () => {
          await client.setEnabled(false)
          await client.setEnabled(true)
        }),
    },
    describeStore: { weight: 0.5, run: () => exclusively('description', () => client.describeStore(newName('store'))) },
    cleanup: { weight: 1.2, run: () => exclusively('cleanup', () => client.startCleanup()) },
    scrub: { weight: 0.2, run: () => exclusively('scrub', () => client.startScrub()) },
    sync: {
      weight: 0.4,
      run: async () => {
        const next = unsynced.shift()
        if (next && source) await client.sync({ url: source.url, token: source.token }, next.id, next.name, next.bytes)
      },
    },
    look: {
      weight: 3,
      run: () =>
        alone(
          history.tasks.filter(({ state }) => state.last === 'known'),
          (task) => client.checkEnded(task),
        ),
    },
  }
  const choices = Object.entries(actions)
  const total = choices.reduce((sum, [, { weight }]) => sum + weight, 0)
  const choose = (): (typeof choices)[number] | undefined => {
    let at = (random.below(1_000_000) / 1_000_000) * total
    return choices.find(([, { weight }]) => (at -= weight) < 0)
  }

  return {
    counts,
    async run(isOver) {
      const work = async (): Promise<void> => {
        while (!isOver()) {
          const [name, action] = choose() ?? []
          if (name === undefined || !action) continue
          counts[name] = (counts[name] ?? 0) + 1
          try {
            await action.run()
          } catch (error) {
            // The agent may have been killed before it answered.
            if (error instanceof PromiseBroken || !isOver()) throw error
          }
          await Bun.sleep(0)
        }
      }
      await Promise.all(Array.from({ length: CLIENTS }, work))
    },
  }
}
