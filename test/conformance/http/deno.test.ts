// The cases of the HTTP layer under Deno: the layer uses Web APIs only, and this holds it to that.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { HTTP_CASES } from './cases.ts'

const REPOSITORY = join(import.meta.dir, '..', '..', '..')
const outcomes = new Map<string, string | null>()
let output = ''

/** Deno's own program, from the package for this platform that `deno` depends on; its wrapper would need an install script. */
function denoProgram(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('deno/package.json'))
  const platform = process.platform === 'linux' ? `linux-${process.arch}-glibc` : `${process.platform}-${process.arch}`
  return require.resolve(`@deno/${platform}/deno`)
}

beforeAll(async () => {
  const child = Bun.spawn([denoProgram(), 'run', '--allow-all', '--no-remote', '--no-check', '--node-modules-dir=manual', 'test/conformance/http/main.ts'], {
    cwd: REPOSITORY,
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' },
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  output = `${stdout}\n${stderr}`
  for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
    const { group, name, error } = JSON.parse(line) as { group: string; name: string; error: string | null }
    outcomes.set(`${group}: ${name}`, error)
  }
})

afterAll(() => {
  if (outcomes.size === 0) process.stderr.write(output)
})

for (const [group, cases] of Object.entries(HTTP_CASES)) {
  describe(group, () => {
    for (const { name } of cases) test(name, () => expect(outcomes.get(`${group}: ${name}`)).toBeNull())
  })
}
