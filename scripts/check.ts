// `bun run check`: checks format, lint, types, dead code and house rules, and runs the quick tests. Prints failures only. `--static`
// skips the tests, for callers that run all suites.

import { QUICK_SUITE, runSuite } from './suites.ts'

interface Step {
  readonly name: string
  run(): Promise<{ ok: boolean; output: string }>
}

/** Returns a step that runs a tool of node_modules. Its output is printed only when it fails. */
function tool(name: string, bin: string, ...args: string[]): Step {
  return {
    name,
    run: async () => {
      const child = Bun.spawn([`node_modules/.bin/${bin}`, ...args], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
      const [stdout, stderr, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
      return { ok: exitCode === 0, output: stdout + stderr }
    },
  }
}

const quickTests: Step = {
  name: 'quick tests and house rules',
  run: async () => {
    let output = ''
    const result = await runSuite(QUICK_SUITE, (text) => (output += `${text}\n`))
    return { ok: result.failed === 0 && result.passed > 0, output: `${output}${result.passed} passed, ${result.failed} failed` }
  },
}

const steps: readonly Step[] = [
  tool('format', 'oxfmt', '--check', '.'),
  tool('lint', 'oxlint', '--deny-warnings'),
  tool('types', 'tsc', '-p', '.'),
  tool('dead code', 'knip', '--no-progress'),
]

async function run(step: Step): Promise<boolean> {
  const startedMs = performance.now()
  const { ok, output } = await step.run()
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  if (!ok) console.log(output.trim())
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)`)
  return ok
}

const results = await Promise.all(steps.map(run))
if (!process.argv.includes('--static')) results.push(await run(quickTests))
process.exit(results.every(Boolean) ? 0 : 1)
