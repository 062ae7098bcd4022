// Lists the test suites, slow ones separately, and runs and counts one.

import { existsSync } from 'node:fs'

export interface Suite {
  readonly name: string
  /** Folders or files below the repository; missing ones are skipped. */
  readonly paths: readonly string[]
  /** Longest time of one test in milliseconds. */
  readonly timeoutMs: number
  /** Files that run in parallel. */
  readonly parallel: number
}

export interface SuiteResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What the processes of the suite used, in milliseconds; missing when it is not known. */
  readonly cpuMs?: number
}

export const QUICK_SUITE: Suite = {
  name: 'quick',
  paths: ['test/protocol', 'test/agent', 'test/bot', 'test/scripts', 'test/support', 'test/tidy'],
  timeoutMs: 60_000,
  parallel: 4,
}

export const SUITES: readonly Suite[] = [
  QUICK_SUITE,
  { name: 'conformance', paths: ['test/conformance'], timeoutMs: 300_000, parallel: 3 },
  { name: 'fault', paths: ['test/fault'], timeoutMs: 180_000, parallel: 2 },
  { name: 'crash', paths: ['test/crash'], timeoutMs: 180_000, parallel: 4 },
  { name: 'hostile', paths: ['test/hostile'], timeoutMs: 180_000, parallel: 1 },
  { name: 'power cut', paths: ['test/power'], timeoutMs: 300_000, parallel: 2 },
  { name: 'simulation', paths: ['test/simulation'], timeoutMs: 300_000, parallel: 2 },
  { name: 'fuzz', paths: ['test/fuzz'], timeoutMs: 300_000, parallel: 2 },
  { name: 'end to end', paths: ['test/e2e', 'test/systemd'], timeoutMs: 300_000, parallel: 4 },
]

/** Most characters of a suite's output that are kept to be shown when it fails. */
const OUTPUT_LENGTH_MAX = 4 * 1024 * 1024

const SUMMARY_LINE = /^\s*(\d+) (pass|fail|skip|todo|errors?)$/

/**
 * Runs a suite in processes of its own, and shows its output only when something failed. The agents and bots that its tests start are the
 * compiled programs in a folder, or run from their sources.
 */
export async function runSuite(suite: Suite, show: (text: string) => void, programs?: string): Promise<SuiteResult> {
  const paths = await testFiles(suite.paths)
  if (paths.length === 0) return { passed: 0, failed: 0, skipped: 0 }
  const parallel = suite.parallel > 1 ? [`--parallel=${suite.parallel}`] : []
  const child = Bun.spawn([process.execPath, 'test', '--only-failures', `--timeout=${suite.timeoutMs}`, ...parallel, ...paths], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...(programs !== undefined && { SLIPWAY_TEST_PROGRAMS: programs }) },
  })
  const [stdout, stderr, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  const result = { ...countResult(stderr, exitCode), cpuMs: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000 }
  if (result.failed > 0) show(`${stdout}${stderr}`.slice(-OUTPUT_LENGTH_MAX))
  else for (const line of new Set(`${stdout}\n${stderr}`.split('\n').filter((text) => text.startsWith('skipped: ')))) show(line)
  return result
}

/** Reads the counts that `bun test` prints last. A run that failed without a failing test counts as one failure. */
export function countResult(output: string, exitCode: number): SuiteResult {
  const counts = { pass: 0, fail: 0, skip: 0, todo: 0, error: 0 }
  for (const line of output.split('\n')) {
    const [, count, kind] = SUMMARY_LINE.exec(line) ?? []
    if (count === undefined || kind === undefined) continue
    counts[(kind === 'errors' ? 'error' : kind) as keyof typeof counts] = Number(count)
  }
  const failed = counts.fail + counts.error
  return { passed: counts.pass, failed: failed === 0 && exitCode !== 0 ? 1 : failed, skipped: counts.skip + counts.todo }
}

/** Returns the test files below the paths as `./…`, so that `bun test` treats them as files and not as patterns. */
async function testFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const path of paths.filter((candidate) => existsSync(candidate))) {
    for await (const file of new Bun.Glob('**/*.test.{ts,tsx}').scan({ cwd: path })) files.push(`./${path}/${file}`)
  }
  return files.toSorted()
}
