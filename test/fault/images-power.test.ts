// The catalogue on a disk that loses unsynced writes: after a loss of power, images are as they were acknowledged.

import { expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { createFaultyDisk } from '../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../support/machine/faulty-disk.ts'
import { openImageStore } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../support/properties.ts'
import { BYTES, IMMEDIATE_CLOCK, IDS, live, RETENTION, verify } from './image-life.ts'
import type { Expected } from './image-life.ts'

const NOTHING = 0
const [ID = ''] = IDS
const [CONTENT] = BYTES

async function openFaulty(folder: TemporaryFolder): Promise<FaultyDisk> {
  await mkdir(folder.file('mount'), { recursive: true })
  return createFaultyDisk(folder.file('mount'))
}

/** Performs operations until the power is lost, by `lose` after an acknowledgement or by the plan of the disk. Returns how many were acknowledged. */
async function liveAndLosePower(
  folder: TemporaryFolder,
  disk: FaultyDisk,
  expected: Expected,
  lose: (acknowledged: number) => Promise<boolean>,
): Promise<number> {
  let acknowledged = 0
  const store = await openImageStore(folder, { disk, clock: IMMEDIATE_CLOCK, retention: RETENTION })
  try {
    let losing: Promise<boolean> = Promise.resolve(false)
    await live(store, expected, () => {
      losing = lose(++acknowledged)
      if (disk.isDead) throw new Error('the power is lost')
    }).catch(() => {})
    await losing
    await store.catalogue.settled()
  } finally {
    await Promise.resolve(store[Symbol.asyncDispose]()).catch(() => {})
  }
  return acknowledged
}

test('every acknowledged change of an image is there, although nothing unsynced was kept', async () => {
  for (let cut = 1; ; cut++) {
    await using folder = await createTemporaryFolder()
    const disk = await openFaulty(folder)
    const expected: Expected = new Map()
    const acknowledged = await liveAndLosePower(folder, disk, expected, async (count) => {
      if (count !== cut) return false
      await disk.losePower(createRandom(cut), NOTHING)
      return true
    })
    if (acknowledged < cut) {
      expect(acknowledged).toBe(8)
      break
    }
    await verify(folder, expected, `acknowledgement ${cut}`)
  }
}, 120_000)

test('every acknowledged change of an image is there, wherever the power is cut and whatever part is kept', async () => {
  const seed = runSeed()
  const random = createRandom(seed)
  for (let run = 0; run < 12; run++) {
    await using folder = await createTemporaryFolder()
    const disk = await openFaulty(folder)
    const expected: Expected = new Map()
    const at = 1 + random.below(250)
    disk.plan({ at, fault: 'power' })
    await liveAndLosePower(folder, disk, expected, async () => false).catch(() => 0)
    await disk.losePower(random)
    await verify(folder, expected, `SLIPWAY_SEED=${seed}, run ${run}, operation ${at}`)
  }
}, 120_000)

test('an image that is published after a process died on it is there after a loss of power', async () => {
  if (!CONTENT) throw new Error('there is no content')
  let deaths = 0
  for (let at = 1; ; at++) {
    await using folder = await createTemporaryFolder()
    const disk = await openFaulty(folder)
    {
      await using store = await openImageStore(folder, { disk, clock: IMMEDIATE_CLOCK })
      disk.plan({ at, fault: 'kill' })
      await store.publish(CONTENT, {}, ID).catch(() => {})
      await store.catalogue.settled()
    }
    if (!disk.isDead) break
    deaths++
    disk.revive()
    {
      // Another process publishes it again, as recovery of uploads does, and then the power fails.
      await using store = await openImageStore(folder, { disk, clock: IMMEDIATE_CLOCK })
      await store.publish(CONTENT, {}, ID)
      await disk.losePower(createRandom(at), NOTHING)
    }
    await verify(folder, new Map([[ID, { statuses: ['creating', 'available'] }]]), `operation ${at}`)
  }
  expect(deaths).toBeGreaterThan(20)
}, 180_000)
