// The lease between processes: an agent that loses its lease exits at once, and its successor finds everything.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { startAgent } from '../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

describe('lease', () => {
  test('an agent whose store was taken over exits with 1, and does not change the lease of the other', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const mine = await Bun.file(folder.file('store/lease.1.json')).json()
    const theirs = JSON.stringify({ ...mine, hostname: 'other-node', bootId: 'another', generation: 2, released: false })
    await Bun.write(folder.file('store/lease.2.json'), theirs)
    expect(await agent.ended()).toBe(1)
    expect(agent.log()).toContain('"msg":"another agent took over the store"')
    expect(agent.log()).toContain('"by":"other-node"')
    expect(await Bun.file(folder.file('store/lease.2.json')).text()).toBe(theirs)
  }, 30_000)

  test('a restart after SIGKILL does not wait, and generations only increase', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now()
      await agent.restart()
      // An interval of the lease is five seconds, and waiting for a dead holder would take three intervals.
      expect(performance.now() - startedMs).toBeLessThan(4500)
    }
    expect((await readdir(folder.file('store'))).filter((name) => name.startsWith('lease.')).toSorted()).toEqual(
      [1, 2, 3, 4].map((generation) => `lease.${generation}.json`),
    )
  }, 60_000)
})
