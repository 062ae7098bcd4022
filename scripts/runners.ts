// The processes that run a package script: npx, npm, bun run, and the shells between them. Not all of them forward a signal, so the script
// has to detect itself that they have exited.

import { readFileSync } from 'node:fs'

/** Time between two checks whether they still run, in milliseconds. */
const LOOK_MS = 250
/** Most nested runners; bounds the walk. */
const RUNNERS_MAX = 16

/** Matches command lines of runners, whose words are separated by NUL; npm writes its own as one word. */
const RUNNER = /^(?:npm|npx|yarn|pnpm) |^(?:[^\0]*\/)?bun(?:\.exe)?\0run\0|^[^\0]*node\0[^\0]*\/np[mx]-cli\.js\0/
/** Matches shells. A shell counts only between two runners: one above all runners may be interactive, or run a script that exits. */
const SHELL = /^(?:\/bin\/)?(?:sh|dash|bash)\0-c\0/

/** Calls back once when a process that runs this script has exited. Processes above the runners, such as a login shell, do not count. */
export function onRunnersGone(run: () => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const runners = runnersOf(process.pid)
  const timer = setInterval(() => {
    if (runners.every(({ pid, parent }) => parentOf(pid) === parent)) return
    clearInterval(timer)
    run()
  }, LOOK_MS)
  timer.unref()
}

/** Returns this process and the runners above it, each with its parent. */
function runnersOf(self: number): { readonly pid: number; readonly parent: number }[] {
  const chain: { pid: number; parent: number }[] = []
  let lengthToTop = 0
  let pid = self
  for (let i = 0; i < RUNNERS_MAX; i++) {
    const parent = parentOf(pid)
    if (parent === undefined || parent <= 1) break
    const command = commandOf(parent)
    if (!RUNNER.test(command) && !SHELL.test(command)) break
    chain.push({ pid, parent })
    if (RUNNER.test(command)) lengthToTop = chain.length
    pid = parent
  }
  return chain.slice(0, lengthToTop)
}

/** Returns field 4 of /proc/PID/stat (proc(5)); undefined when the process or /proc does not exist. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    // The process has exited, or the system has no /proc.
    return undefined
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // The process exited between the two reads.
    return ''
  }
}
