// The foundation of a start: refusals that change nothing, and a store that is found again.

import { describe, expect, test } from 'bun:test'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { openFoundation } from '../../../../agent/commands/parts/foundation.ts'
import type { FoundationOptions, Runtime } from '../../../../agent/commands/parts/foundation.ts'
import { CUTTER_DEFAULT } from '../../../../agent/slices/packs/parameters.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { agentConfig } from '../../../support/agents/agent-config.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createFaultyDisk } from '../../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../../../support/properties.ts'
import { createRecentLines } from '../../../../agent/system/recent-lines.ts'

function runtimeOf(folder: string): Runtime {
  return {
    config: agentConfig(folder),
    disk: createDisk(),
    clock: createManualClock(),
    log: createMemoryLog(),
    recentLog: createRecentLines(),
    crashPoint: () => {},
  }
}

async function refusal(runtime: Runtime, options?: FoundationOptions): Promise<string> {
  try {
    await using _ = await openFoundation(runtime, { onLost: () => {}, ...options })
    return 'it opened'
  } catch (error) {
    return error instanceof Error && error.name === 'StartRefused' ? error.message : `not a refusal: ${String(error)}`
  }
}

describe('open', () => {
  test('creates the folders of a new store and finds the same store again', async () => {
    await using folder = await createTemporaryFolder()
    let uuid: string
    {
      await using first = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
      uuid = first.store.uuid
      expect(first.store).toEqual({ format: 1, uuid, cutter: CUTTER_DEFAULT, digest: 'sha256' })
      expect((await readdir(folder.file('store'))).toSorted()).toEqual([
        'exports',
        'images',
        'inbox',
        'lease.1.json',
        'packs',
        'quarantine',
        'store.json',
        'store.json.bak',
        'uploads',
        'usage',
      ])
    }
    await using second = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
    expect(second.store.uuid).toBe(uuid)
    expect(second.lease.generation).toBe(2)
  })

  test('is refused while another agent holds the lease, and creates no state folder', async () => {
    await using folder = await createTemporaryFolder()
    await using holder = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
    const other = runtimeOf(folder.path)
    const elsewhere = { ...other, config: { ...other.config, store: { ...other.config.store, state: folder.file('other-state') } } }
    expect(await refusal(elsewhere)).toMatch(/^The store on .* is held by another agent on .*, process \d+\. Stop that agent first/)
    expect(holder.lease.isHeld()).toBe(true)
    expect(await readdir(folder.path)).not.toContain('other-state')
  })

  test('is refused when the mount path does not belong to the state folder', async () => {
    await using folder = await createTemporaryFolder()
    await (await openFoundation(runtimeOf(folder.path), { onLost: () => {} }))[Symbol.asyncDispose]()
    await rm(folder.file('store'), { recursive: true })
    await mkdir(folder.file('store'))
    expect(await refusal(runtimeOf(folder.path))).toContain('holds no store. Attach the right file system')
    expect(await readdir(folder.file('store'))).toEqual([])
  })

  test.each([
    ['{"format": 2, "uuid": "x"}', 'has format 2, and this agent supports formats up to 1. Install a newer agent.'],
    ['', 'is damaged (it is not valid JSON), and there is no copy of it in'],
    ['{"format": 1', 'is damaged (it is not valid JSON), and there is no copy of it in'],
    ['{"format": 1, "uuid": "x"}', 'is damaged (uuid'],
    [
      '{"format":1,"uuid":"0b6c9b0e-8f0e-4c1b-9c6c-0d7f4a3b2c1d","cutter":{"block":4096,"minimum":5,"average":65536,"maximum":262144},"digest":"sha256"}',
      'is damaged (cutter is not a cutter)',
    ],
  ])('is refused with store.json %s, and does not change it', async (text, sentence) => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('store/store.json'), text)
    expect(await refusal(runtimeOf(folder.path))).toContain(sentence)
    expect(await Bun.file(folder.file('store/store.json')).text()).toBe(text)
    expect(await readdir(folder.file('store'))).toEqual(['store.json'])
  })

  test('is refused when the mount path is a file', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('store'), 'x')
    expect(await refusal(runtimeOf(folder.path))).toMatch(/^store\.mount ".*" cannot be used \((EEXIST|ENOTDIR)\)/)
  })
})

describe('a store.json that was lost', () => {
  const DAMAGES: readonly [string, string | undefined][] = [
    ['is empty', ''],
    ['is cut off', '{"format": 1, "uu'],
    ['is not JSON', '\0\0\0'],
    ['has no UUID', '{"format": 1}'],
    ['is missing', undefined],
  ]

  /** Creates a store with one pack, closes it, and returns its UUID. */
  async function usedStore(folder: TemporaryFolder): Promise<string> {
    await using first = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
    await mkdir(folder.file('store/packs/00'))
    return first.store.uuid
  }

  async function damage(folder: TemporaryFolder, text: string | undefined): Promise<void> {
    if (text === undefined) await rm(folder.file('store/store.json'))
    else await Bun.write(folder.file('store/store.json'), text)
  }

  test.each(DAMAGES)('%s: the start is refused and names the command, which restores it from either copy', async (_what, text) => {
    await using folder = await createTemporaryFolder()
    const uuid = await usedStore(folder)
    const original = await Bun.file(folder.file('store/store.json')).text()
    for (const lostCopies of [[], ['store/store.json.bak'], ['state']]) {
      for (const name of lostCopies) await rm(folder.file(name), { recursive: true })
      await damage(folder, text)
      const copy = folder.file(lostCopies[0] === 'store/store.json.bak' ? 'state/store.json' : 'store/store.json.bak')
      const sentence = await refusal(runtimeOf(folder.path))
      expect(sentence).toStartWith(`${folder.file('store/store.json')} is ${text === undefined ? 'missing' : 'damaged ('}`)
      expect(sentence).toContain(`${copy} is a verified copy of it. Run "slipway-agent recover", which restores it.`)
      expect(await Bun.file(folder.file('store/store.json')).exists()).toBe(text !== undefined)

      await using restored = await openFoundation(runtimeOf(folder.path), { onLost: () => {}, restore: true })
      expect([restored.store.uuid, restored.restoredFrom]).toEqual([uuid, copy])
      for (const name of ['store/store.json', 'store/store.json.bak', 'state/store.json']) expect(await Bun.file(folder.file(name)).text()).toBe(original)
    }
  })

  test.each(DAMAGES)('%s, and so are both copies: the start is refused with the line to write, and no new store is created', async (_what, text) => {
    await using folder = await createTemporaryFolder()
    const uuid = await usedStore(folder)
    await rm(folder.file('store/store.json.bak'))
    await Bun.write(folder.file('state/store.json'), '{')
    await damage(folder, text)
    for (const restore of [false, true]) {
      const sentence = await refusal(runtimeOf(folder.path), { onLost: () => {}, restore })
      expect(sentence).toContain(`there is no copy of it in ${folder.file('store/store.json.bak')} or ${folder.file('state/store.json')}`)
      const line = /\{.*\}/.exec(sentence)?.[0] ?? ''
      expect(JSON.parse(line)).toEqual({ format: 1, uuid, cutter: CUTTER_DEFAULT, digest: 'sha256' })
    }
    await rm(folder.file('state'), { recursive: true })
    expect(await refusal(runtimeOf(folder.path))).toContain('with the UUID that "store show" prints')
    await Bun.write(folder.file('store/store.json'), JSON.stringify({ format: 1, uuid, cutter: CUTTER_DEFAULT, digest: 'sha256' }))
    await using again = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
    expect(again.store.uuid).toBe(uuid)
  })

  test('is refused when a copy names another store, and neither file is overwritten', async () => {
    await using folder = await createTemporaryFolder()
    const uuid = await usedStore(folder)
    const other = crypto.randomUUID()
    const text = await Bun.file(folder.file('store/store.json.bak')).text()
    await Bun.write(folder.file('store/store.json.bak'), text.replace(uuid, other))
    expect(await refusal(runtimeOf(folder.path))).toContain(`names the store ${uuid}, but its copy ${folder.file('store/store.json.bak')} names ${other}`)
    expect(await Bun.file(folder.file('store/store.json.bak')).text()).toContain(other)
  })

  test('gets a new copy at the next start when a copy is damaged or missing', async () => {
    await using folder = await createTemporaryFolder()
    await usedStore(folder)
    const original = await Bun.file(folder.file('store/store.json')).text()
    await Bun.write(folder.file('store/store.json.bak'), 'x')
    await rm(folder.file('state/store.json'))
    await using _ = await openFoundation(runtimeOf(folder.path), { onLost: () => {} })
    for (const name of ['store/store.json.bak', 'state/store.json']) expect(await Bun.file(folder.file(name)).text()).toBe(original)
  })

  test('keeps its UUID through a power cut at any operation of a start or a restore', async () => {
    const random = createRandom(runSeed())
    for (let at = 1; ; at++) {
      await using folder = await createTemporaryFolder()
      const uuid = await usedStore(folder)
      await damage(folder, '')
      const disk = await createFaultyDisk(folder.file('store'))
      disk.plan({ at, fault: 'power' })
      const runtime = { ...runtimeOf(folder.path), disk }
      try {
        await using _ = await openFoundation(runtime, { onLost: () => {}, restore: true })
      } catch {
        // The power cut.
      }
      const hasFailed = disk.hasFailed
      if (!disk.isDead) await disk.losePower(random)
      disk.revive()
      disk.plan(undefined)
      // The holder of the lease is gone after the power cut, but this process has the same id.
      for (const name of await disk.list(folder.file('store'))) if (name.startsWith('lease.')) await disk.remove(folder.file('store', name))
      await using after = await openFoundation({ ...runtimeOf(folder.path), disk }, { onLost: () => {}, restore: true })
      expect([at, after.store.uuid]).toEqual([at, uuid])
      if (!hasFailed) break
    }
  })

  test('a start without a copy succeeds on a full disk', async () => {
    await using folder = await createTemporaryFolder()
    await usedStore(folder)
    await rm(folder.file('store/store.json.bak'))
    const plain = createDisk()
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    const disk = {
      ...plain,
      writeFileAtomic: (path: string, bytes: string | Uint8Array) => (path.endsWith('.bak') ? Promise.reject(full) : plain.writeFileAtomic(path, bytes)),
    }
    const runtime = { ...runtimeOf(folder.path), disk }
    await using _ = await openFoundation(runtime, { onLost: () => {} })
    expect(await readdir(folder.file('store'))).not.toContain('store.json.bak')
  })
})
