// What a start stands on: refusals that change nothing, and a store that is found again.

import { describe, expect, test } from 'bun:test'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { openFoundation } from '../../../agent/commands/foundation.ts'
import type { Runtime } from '../../../agent/commands/foundation.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { agentConfig } from '../../support/agents/agent-config.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

function runtimeOf(folder: string): Runtime {
  return { config: agentConfig(folder), disk: createDisk(), clock: createManualClock(), log: createMemoryLog(), crashPoint: () => {} }
}

async function refusal(runtime: Runtime): Promise<string> {
  try {
    await using _ = await openFoundation(runtime, () => {})
    return 'it opened'
  } catch (error) {
    return error instanceof Error && error.name === 'StartRefused' ? error.message : `not a refusal: ${String(error)}`
  }
}

describe('open', () => {
  test('makes the folders of a new store and finds the same store again', async () => {
    await using folder = await createTemporaryFolder()
    let uuid: string
    {
      await using first = await openFoundation(runtimeOf(folder.path), () => {})
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
        'uploads',
      ])
    }
    await using second = await openFoundation(runtimeOf(folder.path), () => {})
    expect(second.store.uuid).toBe(uuid)
    expect(second.lease.generation).toBe(2)
  })

  test('is refused while another agent holds the store, and makes no state folder', async () => {
    await using folder = await createTemporaryFolder()
    await using holder = await openFoundation(runtimeOf(folder.path), () => {})
    const other = runtimeOf(folder.path)
    const elsewhere = { ...other, config: { ...other.config, store: { ...other.config.store, state: folder.file('other-state') } } }
    expect(await refusal(elsewhere)).toMatch(/^The store on .* is held by another agent on .*, process \d+\. Stop that agent first/)
    expect(holder.lease.isHeld()).toBe(true)
    expect(await readdir(folder.path)).not.toContain('other-state')
  })

  test('is refused when the mount path is not the one of the state folder', async () => {
    await using folder = await createTemporaryFolder()
    await (await openFoundation(runtimeOf(folder.path), () => {}))[Symbol.asyncDispose]()
    await rm(folder.file('store'), { recursive: true })
    await mkdir(folder.file('store'))
    expect(await refusal(runtimeOf(folder.path))).toContain('holds no store. Attach the right file system')
    expect(await readdir(folder.file('store'))).toEqual([])
  })

  test.each([
    ['{"format": 2, "uuid": "x"}', 'has format 2, and this agent knows formats up to 1. Install a newer agent.'],
    ['{"format": 1', 'is damaged: it is not valid JSON.'],
    ['{"format": 1, "uuid": "x"}', 'is damaged: uuid'],
    [
      '{"format":1,"uuid":"0b6c9b0e-8f0e-4c1b-9c6c-0d7f4a3b2c1d","cutter":{"block":4096,"minimum":5,"average":65536,"maximum":262144},"digest":"sha256"}',
      'is damaged: cutter is not a cutter',
    ],
  ])('is refused with store.json %s, and leaves it', async (text, sentence) => {
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
