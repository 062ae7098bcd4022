// The journal on a disk that loses unsynced writes: what an append or a load has reported survives a loss of power, whatever else is lost.

import { describe, expect, test } from 'bun:test'
import { COMPACT_SLACK_BYTES, Journal } from '../../../../agent/uploads/record/journal.ts'
import { packEntries, RECORD_TAIL_MAX, unpackEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import type { FaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createRandom } from '../../../support/properties.ts'
import type { Random } from '../../../support/properties.ts'

const SLICE = 4096
const NOTHING = 0

interface Scene extends AsyncDisposable {
  readonly disk: FaultyDisk
  readonly random: Random
  load(): Promise<Journal>
}

/** A folder on a faulty disk. */
async function makeScene(seed = 1): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const disk = await createFaultyDisk(folder.path)
  const random = createRandom(seed)
  const loaded: Journal[] = []
  return {
    disk,
    random,
    async load() {
      const journal = await Journal.load({ disk, random: (length) => random.bytes(length) }, folder.file('journal'))
      loaded.push(journal)
      return journal
    },
    async [Symbol.asyncDispose]() {
      // On a dead disk, closing fails after the file was closed.
      for (const journal of loaded) await journal.close().catch(() => {})
      await folder[Symbol.asyncDispose]()
    },
  }
}

const digestOf = (n: number): Uint8Array => new Uint8Array(32).fill(1 + (n % 255))

/** Appends slice number `n` and a tail of `tailLength` bytes. */
async function append(journal: Journal, n: number, tailLength: number): Promise<void> {
  await journal.append({ entries: packEntries([{ length: SLICE, digest: digestOf(n) }]), tail: new Uint8Array(tailLength).fill(n), timeMs: n })
}

/** Returns how many slices a journal has; throws when they, or the tail, are not those of the last append. */
async function slicesOf(journal: Journal): Promise<number> {
  let n = 0
  for await (const packed of journal.entries()) for (const { digest } of unpackEntries(packed)) expect(digest).toEqual(digestOf(++n))
  expect((await journal.readTail()).every((byte) => byte === n)).toBe(true)
  return n
}

describe('after a loss of power, a journal has', () => {
  test('every append that was acknowledged', async () => {
    for (let appends = 1; appends <= 3; appends++) {
      await using scene = await makeScene()
      const journal = await scene.load()
      for (let n = 1; n <= appends; n++) await append(journal, n, 100)
      await scene.disk.losePower(scene.random, NOTHING)
      scene.disk.revive()
      const loaded = await scene.load()
      expect([await slicesOf(loaded), loaded.tailLength]).toEqual([appends, 100])
    }
  })

  test('what a load found, although the process that wrote it died before it was synced', async () => {
    let found = 0
    for (let at = 1; at <= 12; at++) {
      await using scene = await makeScene()
      const { disk, random } = scene
      disk.plan({ at, fault: 'kill' })
      await scene
        .load()
        .then(async (journal) => {
          await append(journal, 1, 100)
          await append(journal, 2, 100)
        })
        .catch(() => {})
      disk.revive()
      const journal = await scene.load()
      const before = await slicesOf(journal)
      found = Math.max(found, before)
      // Other work on the same journal must not be needed for what was found to be durable.
      await disk.losePower(random, NOTHING)
      disk.revive()
      expect([at, await slicesOf(await scene.load())]).toEqual([at, before])
    }
    expect(found).toBe(2)
  })

  test('what was appended after such a load', async () => {
    for (let at = 1; at <= 12; at++) {
      await using scene = await makeScene()
      const { disk, random } = scene
      disk.plan({ at, fault: 'kill' })
      await scene
        .load()
        .then(async (journal) => {
          await append(journal, 1, 100)
          await append(journal, 2, 100)
        })
        .catch(() => {})
      disk.revive()
      const journal = await scene.load()
      const n = (await slicesOf(journal)) + 1
      await append(journal, n, 50)
      await disk.losePower(random, NOTHING)
      disk.revive()
      expect([at, await slicesOf(await scene.load())]).toEqual([at, n])
    }
  })

  test('everything that it had before it was compacted', async () => {
    await using scene = await makeScene()
    const { disk, random } = scene
    const journal = await scene.load()
    let [n, longest] = [0, 0]
    // Long tails that the next append replaces, until the file is rewritten.
    while (journal.length >= longest) {
      longest = journal.length
      await append(journal, ++n, RECORD_TAIL_MAX)
    }
    expect(longest).toBeLessThan(COMPACT_SLACK_BYTES + 10 * RECORD_TAIL_MAX)
    await disk.losePower(random, NOTHING)
    disk.revive()
    const loaded = await scene.load()
    expect([await slicesOf(loaded), loaded.tailLength]).toEqual([n, RECORD_TAIL_MAX])
  })

  test('every acknowledged append and at most one more, wherever the power is cut and whatever part is kept', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      await using scene = await makeScene(seed)
      const { disk, random } = scene
      let acknowledged = 0
      disk.plan({ at: 1 + random.below(16), fault: 'power' })
      await scene
        .load()
        .then(async (journal) => {
          for (let n = 1; n <= 5; n++) {
            await append(journal, n, 2000)
            acknowledged = n
          }
        })
        .catch(() => {})
      await disk.losePower(random)
      disk.revive()
      const slices = await slicesOf(await scene.load())
      expect(slices).toBeGreaterThanOrEqual(acknowledged)
      expect(slices).toBeLessThanOrEqual(acknowledged + 1)
    }
  })
})
