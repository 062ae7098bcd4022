// One `bun test` of one file in a copy of the tree, with a limit on its time and memory. Nothing that it started outlives it.

import { openSync, closeSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Copy } from './workspace.ts'

/** Time of one test within a file, as in the quick suite. */
const TEST_TIMEOUT_MS = 20_000
/** Most memory of a run: a loop that a mutant made endless may fill it. */
const MEMORY_BYTES_MAX = 3 * 1024 ** 3
const PAGE_BYTES = 4096
const LOOK_MS = 200
/** Seed of the property tests, so that a verdict can be repeated. */
const SEED = '1'

export type RunOutcome = 'passed' | 'failed' | 'timeout'

export interface TestRun {
  readonly outcome: RunOutcome
  readonly ms: number
}

export interface TestRunOptions {
  readonly limitMs: number
  /** Runs only tests of these names, each after the names of its groups; without it all tests. */
  readonly names?: readonly string[]
  /** Goes on after a test failed. */
  readonly all?: boolean
  /** More words for `bun test`. */
  readonly words?: readonly string[]
  /** More variables. */
  readonly environment?: Readonly<Record<string, string>>
  /** Ends the run early; its outcome is then `timeout`. */
  readonly signal: AbortSignal
}

/** Runs one test file and waits until all its processes have ended. */
export async function runTestFile(copy: Copy, test: string, options: TestRunOptions): Promise<TestRun> {
  const startedMs = performance.now()
  const choice = options.names === undefined ? [] : ['-t', patternOf(options.names)]
  const words = [...(options.all === true ? [] : ['--bail']), ...choice, ...(options.words ?? [])]
  const output = openSync(outputFile(copy), 'w')
  const child = Bun.spawn([process.execPath, 'test', '--no-orphans', `--timeout=${TEST_TIMEOUT_MS}`, ...words, `./${test}`], {
    cwd: copy.root,
    stdin: 'ignore',
    stdout: output,
    stderr: output,
    // A process group of its own: all of it can be ended.
    detached: true,
    env: { ...process.env, TMPDIR: copy.temporary, SLIPWAY_SEED: SEED, NO_COLOR: '1', FORCE_COLOR: '0', ...options.environment },
  })
  closeSync(output)
  let isOver = false
  const stop = (): void => {
    isOver = true
    killGroup(child.pid)
  }
  const watch = setInterval(() => {
    if (performance.now() - startedMs > options.limitMs || memoryBytes(child.pid) > MEMORY_BYTES_MAX) stop()
  }, LOOK_MS)
  options.signal.addEventListener('abort', stop, { once: true })
  if (options.signal.aborted) stop()
  try {
    const code = await child.exited
    return { outcome: isOver ? 'timeout' : code === 0 ? 'passed' : 'failed', ms: Math.round(performance.now() - startedMs) }
  } finally {
    clearInterval(watch)
    options.signal.removeEventListener('abort', stop)
    killGroup(child.pid)
    copy.wipe()
  }
}

/** Returns what the last run in a copy printed. */
export function lastOutput(copy: Copy): string {
  return readFileSync(outputFile(copy), 'utf8')
}

/** Returns the regular expression that matches these names and no others. */
export function patternOf(names: readonly string[]): string {
  return `^(?:${[...new Set(names)].map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)).join('|')})$`
}

function outputFile(copy: Copy): string {
  return join(copy.root, '../output')
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of its processes have ended.
  }
}

/** Memory in use by a process: the second field of /proc/PID/statm (proc(5)). */
function memoryBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
  } catch {
    // The process has ended.
    return 0
  }
}
