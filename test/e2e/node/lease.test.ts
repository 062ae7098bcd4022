// The lease between processes: an agent that loses its lease exits at once, and its successor finds everything.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { startAgent } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

/** Message of a start that waits for three intervals of the lease. */
const WAITING = 'watching its beat'

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

  test('a start waits for a holder on another machine that stopped writing its beat, and logs it', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    await agent.kill()
    const lease = await Bun.file(folder.file('store/lease.1.json')).json()
    const theirs = JSON.stringify({ ...lease, hostname: 'other-node', bootId: 'another', holder: 'another' })
    await Bun.write(folder.file('store/lease.1.json'), theirs)
    await agent.restart()
    expect(agent.log()).toContain(WAITING)
  }, 60_000)

  test('a restart after SIGKILL does not wait, and generations only increase', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    for (let round = 0; round < 3; round++) {
      await agent.restart()
      // A start that waits for a holder logs it.
      expect(agent.log()).not.toContain(WAITING)
    }
    expect((await readdir(folder.file('store'))).filter((name) => name.startsWith('lease.')).toSorted()).toEqual(
      [1, 2, 3, 4].map((generation) => `lease.${generation}.json`),
    )
  }, 60_000)
})
