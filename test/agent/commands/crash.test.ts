// How the programs exit after an error that is not handled.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ROOT = join(import.meta.dir, '../../..')

describe.each(['agent/commands/crash.ts', 'bot/system/crash.ts'])('exitOnCrash of %s', (path) => {
  test.each([
    ['an exception', "setTimeout(() => { throw new Error('boom') }, 1)"],
    ['a rejection', "void Promise.reject(new Error('boom'))"],
    ['a failed start', "await Promise.reject(new Error('boom'))"],
  ])('exits with 1 and one sentence after %s', async (_what, code) => {
    const source = `import { exitOnCrash } from ${JSON.stringify(join(ROOT, path))}; exitOnCrash('slipway 1.2.3'); setTimeout(() => {}, 60_000); ${code}`
    const child = Bun.spawn([process.execPath, '-e', source], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
    const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 1 })
    expect(stderr).toMatch(/^slipway 1\.2\.3 stopped because of an unexpected error: boom\. Start it again, .*\nError: boom\n/)
    expect(stderr).not.toContain('Bun v')
  })
})
