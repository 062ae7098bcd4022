// A store with damage that a scrub has found, and a pass of healing over it.

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'bun:test'
import type { Origins } from '../../../../agent/contract/origins.ts'
import { createRateLimiter } from '../../../../agent/sync/limits/rate-limiter.ts'
import { runHealPass } from '../../../../agent/sync/heal/heal-pass.ts'
import type { HealPassDeps, HealResult } from '../../../../agent/sync/heal/heal-pass.ts'
import { createOrigins } from '../../../../agent/sync/origins/origins.ts'
import { createSpace } from '../../../../agent/system/space.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import type { Fetch } from '../../../../protocol/client/exchange.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import type { ImageStore } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** Bytes of the damaged image. */
export const BYTES = Buffer.from(seededBytes(900_000, 1))
const DAMAGED = [100_000, 400_000, 700_000]
/** An origin below this rate is too slow. */
const PACE = { rateWindowMs: 200, bytesPerSecondMin: 1000 }

/** Flips a bit at each offset of the only pack of a store. */
async function damage({ mount }: ImageStore, offsets: readonly number[] = DAMAGED): Promise<void> {
  const [name = ''] = (await readdir(join(mount, 'packs'), { recursive: true })).filter((path) => path.endsWith('.pack'))
  await using file = await open(join(mount, 'packs', name), 'r+')
  for (const offset of offsets) {
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, offset)
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset)
  }
}

export interface Patient extends AsyncDisposable {
  readonly store: ImageStore
  readonly id: string
  readonly origins: Origins
  readonly points: string[]
  /** Each call of onProgress of all passes: slices put back, and slices known to be damaged. */
  readonly progress: (readonly [done: number, total: number])[]
  /** Runs a pass. Returns its result, or the code of its problem. */
  heal(changes?: Partial<HealPassDeps>): Promise<HealResult | string>
  /** Runs a pass that must fail with a problem, and returns it. */
  problem(changes?: Partial<HealPassDeps>): Promise<ProblemError>
}

/** A store with damage that a scrub has found, and origins with these addresses. */
export async function createPatient(urls: readonly string[], send: Fetch = fetch): Promise<Patient> {
  const own = new AsyncDisposableStack()
  const store = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  // The name differs: the origin has the same bytes in an image with another id.
  const { id } = await store.add(BYTES, { name: 'a copy' })
  await damage(store)
  const { damagedRoots } = await store.slices.scrub({ bytesPerSecond: 1e12 })
  await store.catalogue.applyScrub({ damagedRoots, startedAtMs: Date.now() })
  expect([store.catalogue.need(id).status, store.slices.stats().quarantined]).toEqual(['degraded', 3])
  const settings = urls.map((url, i) => ({ name: `origin-${i}`, url, token: 'viewer' }))
  const origins = own.use(createOrigins({ clock: systemClock, log: store.log, settings, storeId: 'own', fetch: send, stallTimeoutMs: 500, pace: PACE }))
  const points: string[] = []
  const deps: HealPassDeps = {
    clock: systemClock,
    log: store.log,
    emit: (event) => void store.events.push(event),
    storeId: 'own',
    origins,
    slices: store.slices,
    images: store.catalogue,
    space: createSpace({ disk: store.disk, clock: systemClock, mount: store.mount, reservedBytes: () => 0 }),
    crashPoint: (point) => void points.push(point),
    openShare: () => createRateLimiter({ clock: systemClock, bytesPerSecond: () => undefined }).open({ priority: 'normal' }),
    copyAgain: async () => false,
  }
  const progress: (readonly [number, number])[] = []
  const pass = (changes: Partial<HealPassDeps>): Promise<HealResult> =>
    runHealPass({ ...deps, ...changes }, { signal: new AbortController().signal, onProgress: (done, total) => void progress.push([done, total]) })
  return {
    store,
    id,
    origins,
    points,
    progress,
    async heal(changes = {}) {
      try {
        return await pass(changes)
      } catch (error) {
        if (error instanceof ProblemError) return error.code
        throw error
      }
    },
    async problem(changes = {}) {
      const error = await pass(changes).catch((thrown: unknown) => thrown)
      if (error instanceof ProblemError) return error
      throw new Error('the pass did not fail with a problem', { cause: error })
    },
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

/** Expects that the image of the patient is whole, with all its bytes. */
export async function expectHealed({ store, id }: Patient): Promise<void> {
  await store.catalogue.settled()
  expect([store.catalogue.need(id).status, store.slices.stats().quarantined]).toEqual(['available', 0])
  expect((await store.read(id)).equals(BYTES)).toBe(true)
  expect(await store.slices.scrub({ bytesPerSecond: 1e12 })).toMatchObject({ corrupt: [], missing: [] })
}
