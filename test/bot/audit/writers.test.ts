// Several processes append to one audit log, and one of them is killed: the chain is intact, and what was acknowledged is in it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createAudit } from '../../../bot/audit/audit.ts'
import { verifyChain } from '../../../bot/audit/verify.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const WRITERS = 4
const LINES = 25

/** Starts a console that runs these lines, as a user of this name. */
function startConsole(home: string, user: string, lines: readonly string[]) {
  const env = { PATH: process.env['PATH'], SLIPWAY_HOME: home, USER: user }
  return Bun.spawn([...botProgram(), 'console'], { env, stdin: new TextEncoder().encode(lines.join('\n')), stdout: 'pipe', stderr: 'ignore' })
}

test('consoles that write at the same time, one of them killed, leave one intact chain with every answered command', async () => {
  await using folder = await createTemporaryFolder()
  openDatabase(folder.path).close()
  const linesOf = (user: string): string[] => Array.from({ length: LINES }, (_, i) => `store enable ${user}-${i}`)
  const victim = startConsole(folder.path, 'victim', linesOf('victim'))
  const writers = Array.from({ length: WRITERS }, (_, i) => startConsole(folder.path, `user${i}`, linesOf(`user${i}`)))

  // Killed as soon as some of its commands were answered.
  let answered = 0
  let text = ''
  for await (const piece of victim.stdout.pipeThrough(new TextDecoderStream())) {
    text += piece
    answered = text.split('No store is called').length - 1
    if (answered >= 5) victim.kill('SIGKILL')
  }
  expect(await Promise.all(writers.map((writer) => writer.exited))).toEqual(Array.from({ length: WRITERS }, () => 1))

  using database = openDatabase(folder.path)
  const audit = createAudit(database)
  expect((await verifyChain(audit, systemClock)).kind).toBe('intact')
  for (let i = 0; i < WRITERS; i++) {
    const ended = audit.list({ actor: `user${i}`, limit: 1000 })
    expect(ended.map(({ target, outcome }) => `${target} ${outcome}`)).toEqual(
      Array.from({ length: LINES }, (_, line) => `user${i}-${LINES - 1 - line} failed`),
    )
  }
  const rows = audit.list({ actor: 'victim', limit: 1000 })
  // Each answered command has its end; one that the kill interrupted has at least its beginning.
  expect(rows.filter(({ outcome }) => outcome === 'failed').length).toBeGreaterThanOrEqual(answered)
  expect(rows.filter(({ outcome }) => outcome === 'begun').length).toBeLessThanOrEqual(1)
})
