// The lease between processes: an agent that loses its store ends at once, and its successor finds everything.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { startAgent } from '../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

describe('lease', () => {
  test('an agent whose store was taken over ends by itself, with 1, and leaves the lease of the other alone', async () => {
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

  test('a restart after SIGKILL waits for nobody, and generations only go up', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now()
      await agent.restart()
      // An interval of the lease is five seconds, and waiting for a dead holder takes three.
      expect(performance.now() - startedMs).toBeLessThan(4500)
    }
    expect((await readdir(folder.file('store'))).filter((name) => name.startsWith('lease.')).toSorted()).toEqual(
      [1, 2, 3, 4].map((generation) => `lease.${generation}.json`),
    )
  }, 60_000)
})
