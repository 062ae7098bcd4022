// A mount path that hangs, as NFS does when its server is down: a FUSE file system whose process is stopped.

import { describe, expect } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { startAgent } from '../../support/agents/agent-process.ts'
import { requireThat, requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const fuseTest = existsSync('/dev/fuse') ? requireTool('bindfs', 'bindfs') : requireThat(false, 'a FUSE file system needs /dev/fuse')

/** Far below the 2 s that the mount path may take: health does not wait for it, in milliseconds. */
const ANSWER_MS_MAX = 500

/** Mounts the folder `back` at `store` through a process that can be stopped. */
async function mountThrough(back: string, store: string) {
  await mkdir(back)
  await mkdir(store)
  const child = Bun.spawn(['bindfs', '-f', back, store], { stdout: 'ignore', stderr: 'inherit' })
  await until('the file system is mounted', async () => (await Bun.file('/proc/self/mounts').text()).includes(` ${store} `))
  return {
    stop: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
      await Bun.spawn(['fusermount', '-uz', store], { stderr: 'ignore' }).exited
    },
  }
}

describe('a mount path that hangs', () => {
  fuseTest(
    'is reported by health in time, delays only requests that need it, and recovers by itself',
    async () => {
      await using folder = await createTemporaryFolder()
      await using fuse = await mountThrough(folder.file('back'), folder.file('store'))
      // No schedule may start a task while the test looks at the list.
      await using agent = await startAgent(folder.path, { config: '[schedules]\nexpire = "0 0 1 1 *"\ncleanup = "0 0 1 1 *"\nscrub = "0 0 1 1 *"\n' })
      const check = async (name: string) => (await agent.client.health()).checks.find((one) => one.name === name)
      expect((await agent.client.health()).state).not.toBe('error')

      fuse.stop()
      const startMs = performance.now()
      await until('health reports an error', async () => (await agent.client.health()).state === 'error')
      expect(performance.now() - startMs).toBeLessThan(30_000)
      expect(await check('mount-path')).toMatchObject({ state: 'failed', limit: '2 s' })
      const durations: number[] = []
      for (let i = 0; i < 50; i++) {
        const askedMs = performance.now()
        await agent.client.health()
        durations.push(performance.now() - askedMs)
      }
      expect(durations.toSorted((a, b) => a - b)[45] ?? Infinity).toBeLessThan(ANSWER_MS_MAX)
      expect((await agent.client.tasks.list()).items).toEqual([])
      const events = await agent.client.events.list()
      expect(events.items.map(({ type }) => type)).toContain('health.changed')
      await expect(agent.client.store.get()).rejects.toThrow('does not answer')
      await expect(agent.client.files.list()).rejects.toThrow('does not answer')
      await expect(agent.client.store.reconnect()).rejects.toThrow('no answer for')

      fuse.goOn()
      await until('health is no error any more', async () => (await agent.client.health()).state !== 'error')
      expect((await agent.client.store.reconnect()).enabled).toBe(true)
      await agent.kill()
    },
    180_000,
  )
})
