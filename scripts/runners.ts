// The processes that ran a package script: npx, npm, bun run, and the shells between them. When one of them is told to
// stop, not all pass it on; whoever wants to end with them has to see for itself that they are gone.

import { readFileSync } from 'node:fs'

/** How often it is looked whether they are still there, in milliseconds. */
const LOOK_MS = 250
/** Runners above one another; a bound for the walk. */
const RUNNERS_MAX = 16

/** Command lines of runners, their words divided by NUL; npm writes its own into one word. */
const RUNNER = /^(?:npm|npx|yarn|pnpm) |^(?:[^\0]*\/)?bun(?:\.exe)?\0run\0|^[^\0]*node\0[^\0]*\/np[mx]-cli\.js\0/
/** Counts only between two runners: one above all of them may be the shell of a person, or of a script that leaves. */
const SHELL = /^(?:\/bin\/)?(?:sh|dash|bash)\0-c\0/

/** Calls back once when a process that runs this script has ended. Processes above the runners, such as a shell that was left, do not count. */
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

/** This process and the runners above it, each with its parent. */
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

/** Field 4 of /proc/PID/stat (proc(5)); undefined when there is no such process, or no /proc. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    // Gone, or a system without /proc.
    return undefined
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    // Gone between two looks.
    return ''
  }
}
