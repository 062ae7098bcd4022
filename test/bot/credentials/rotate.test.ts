// The rotation of the key: it may be killed at each step, and a process that is open meanwhile reads and writes tokens with the new key.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseKeys } from '../../../bot/system/keys.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { homeKeyPath } from '../../../bot/system/key-file.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const NAMES = ['edge-a', 'edge-b', 'edge-c']

/** Runs a command line on a home folder; returns its exit code, or the signal that ended it, and its output. */
async function run(home: string, ...command: string[]): Promise<readonly [number | string, string]> {
  const child = Bun.spawn(command, {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home },
  })
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  await child.exited
  return [child.signalCode ?? child.exitCode ?? -1, output + errors]
}

const rotate = (home: string) => run(home, ...botProgram(), 'rotate-key')

/** The keys of the key file of a home folder, by their ids. */
function keyIds(home: string): string[] {
  return parseKeys(readFileSync(homeKeyPath(home), 'utf8'))?.map(({ id }) => id) ?? []
}

function tokens(home: string): (string | undefined)[] {
  using bot = openTestBot(home)
  return bot.fleet.registry.list().map(({ token, unreadable }) => unreadable ?? token)
}

function addStores(home: string): void {
  using bot = openTestBot(home)
  for (const name of NAMES)
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: `token-of-${name}`, zone: 'z', provider: 'local', storeId: null }, 0)
}

const TOKENS = NAMES.map((name) => `token-of-${name}`)

test('every token is encrypted with a new key, and the old one is gone', async () => {
  await using folder = await createTemporaryFolder()
  addStores(folder.path)
  const [before] = keyIds(folder.path)
  const [code, output] = await rotate(folder.path)
  const [after, ...more] = keyIds(folder.path)
  expect([code, output]).toEqual([0, `3 tokens encrypted with the key ${after}.\n`])
  expect(more).toEqual([])
  expect(after).not.toBe(before)
  expect(tokens(folder.path)).toEqual(TOKENS)
})

describe('a rotation that is killed', () => {
  test.each([
    ['key-written', 2],
    ['tokens-encrypted', 2],
    ['old-key-removed', 1],
  ])('at %s leaves every token readable, and the next one goes on', async (step, keys) => {
    await using folder = await createTemporaryFolder()
    addStores(folder.path)
    const [ended] = await run(folder.path, process.execPath, join(import.meta.dir, '../../support/agents/rotate-killed-program.ts'), folder.path, step)
    expect(ended).toBe('SIGKILL')
    expect(keyIds(folder.path)).toHaveLength(keys)
    expect(tokens(folder.path)).toEqual(TOKENS)
    expect((await rotate(folder.path))[0]).toBe(0)
    expect(keyIds(folder.path)).toHaveLength(1)
    expect(tokens(folder.path)).toEqual(TOKENS)
  })
})

test('a bot that is open meanwhile reads the new tokens, and writes with the new key', async () => {
  await using folder = await createTemporaryFolder()
  addStores(folder.path)
  const clock = createManualClock(systemClock.nowMs())
  using bot = openTestBot(folder.path, clock)
  const { registry } = bot.fleet
  expect(registry.list().map(({ token }) => token)).toEqual(TOKENS)
  expect((await rotate(folder.path))[0]).toBe(0)
  clock.advance(1_001)
  registry.change('edge-b', { token: 'changed' })
  expect(registry.list().map(({ token }) => token)).toEqual(['token-of-edge-a', 'changed', 'token-of-edge-c'])
  expect(tokens(folder.path)).toEqual(['token-of-edge-a', 'changed', 'token-of-edge-c'])
})
