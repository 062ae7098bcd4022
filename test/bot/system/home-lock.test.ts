// One service runs on a home folder. A service that was killed leaves no lock, and commands work beside a running one.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { statSync } from 'node:fs'
import { lockHome } from '../../../bot/system/home-lock.ts'
import { HomeUnusable } from '../../../bot/system/database.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { startSimulatedFleet } from '../../support/agents/simulated-fleet.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot } from '../fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

function spawnBot(home: string, ...words: string[]) {
  return Bun.spawn([...botProgram(), ...words], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home, SLIPWAY_BOT_LOG: 'error' },
  })
}

test('a second service is refused in one sentence, a command is answered beside the first, and a kill releases the home', async () => {
  await using folder = await createTemporaryFolder()
  await using fleet = startSimulatedFleet(1, 1)
  const [agent] = fleet.agents
  {
    using bot = openTestBot(folder.path)
    bot.fleet.registry.add({ name: 'edge-a', url: agent?.url ?? '', token: agent?.token ?? '', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  }
  const first = spawnBot(folder.path, 'serve')
  try {
    using watcher = openTestBot(folder.path)
    const isRunning = (): boolean => watcher.fleet.kept.runs.runningSince(Date.now()) !== undefined
    await until('the service runs', isRunning)
    const second = spawnBot(folder.path, 'serve')
    expect([await second.exited, await new Response(second.stderr).text(), await new Response(second.stdout).text()]).toEqual([
      2,
      `Another service (process ${first.pid}) runs on the home folder ${folder.path}. Stop it first (systemctl stop slipway-bot), or set SLIPWAY_HOME to another folder. Commands and the console work beside it.\n`,
      '',
    ])
    const command = spawnBot(folder.path, 'store', 'list')
    expect([await command.exited, await new Response(command.stdout).text()]).toEqual([0, expect.stringContaining('edge-a')])
    expect(first.exitCode).toBeNull()
    expect(statSync(folder.file('bot', 'service.lock')).mode & 0o777).toBe(0o600)

    first.kill('SIGKILL')
    await first.exited
    using _after = lockHome(folder.path)
    // This process has it now, and gives it to nobody else, also after it was asked for a second time.
    expect(() => lockHome(folder.path)).toThrow(HomeUnusable)
    const third = spawnBot(folder.path, 'serve')
    expect([await third.exited, await new Response(third.stderr).text()]).toEqual([2, expect.stringContaining(`Another service (process ${process.pid}) runs`)])
  } finally {
    first.kill('SIGKILL')
    await first.exited
  }
})

test('a lock that is disposed can be taken again, and a home that cannot be written is named', async () => {
  await using folder = await createTemporaryFolder()
  for (let turn = 0; turn < 3; turn++) {
    using _lock = lockHome(folder.path)
    expect(() => lockHome(folder.path)).toThrow(/^Another service \(process \d+\) runs on the home folder /)
  }
  await Bun.write(folder.file('file'), '')
  expect(() => lockHome(folder.file('file'))).toThrow(/service\.lock cannot be locked: .+ Check its owner and SLIPWAY_HOME\.$/)
})
