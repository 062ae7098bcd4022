// No file that an agent or a bot creates is readable to another user of the machine, independent of the umask at its start.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startAgent } from '../../support/agents/agent-process.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { folderStats } from '../../support/machine/folder-stats.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// On a busy machine a process takes longer than the runner's default of 5 s.
setDefaultTimeout(60_000)

/** Returns everything that other users may access in a folder, including the folder itself, as `mode path`. */
function openToOthers(folder: string): string[] {
  return folderStats(folder).flatMap(({ path, stats }) => ((stats.mode & 0o077) === 0 ? [] : [`${(stats.mode & 0o777).toString(8)} ${path}`]))
}

test('an agent makes its state and its store private, including files that an earlier agent left readable', async () => {
  await using folder = await createTemporaryFolder()
  const [state, store] = [folder.file('state'), folder.file('store')]
  await using agent = await startAgent(folder.path)
  const body = crypto.getRandomValues(new Uint8Array(60_000))
  const headers = agent.headers({
    'tus-resumable': '1.0.0',
    'upload-length': String(body.byteLength),
    'upload-metadata': `name ${btoa('noise')}`,
    'content-type': 'application/offset+octet-stream',
  })
  expect((await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body })).status).toBe(201)
  await until('the image is available', async () => (await agent.client.images.list()).items[0]?.status === 'available')
  expect(await readdir(state)).toContain('index.db-wal')
  expect(openToOthers(state)).toEqual([])
  expect(openToOthers(store)).toEqual([])

  await agent.stop()
  await Bun.write(join(state, 'not-ours'), 'x')
  for (const name of await readdir(state)) await chmod(join(state, name), 0o755)
  await agent.restart()
  expect(openToOthers(state)).toEqual(['755 not-ours'])
})

test('a bot makes its files private', async () => {
  await using folder = await createTemporaryFolder()
  const home = folder.file('home')
  const environment = { PATH: process.env['PATH'], HOME: folder.path, SLIPWAY_HOME: home }
  const bot = Bun.spawn([...botProgram(), 'store', 'list', '--json'], { env: environment, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  expect(await bot.exited).toBe(0)
  expect(openToOthers(home)).toEqual([])
})
