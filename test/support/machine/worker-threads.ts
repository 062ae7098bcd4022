// Threads of this process that run a worker, as Linux shows them (proc(5)).

import { readdirSync, readFileSync } from 'node:fs'

/** Returns the numbers of the threads that run a worker, without those that ran before. */
export function workerThreads(before: readonly string[] = []): string[] {
  return readdirSync('/proc/self/task').filter((id) => !before.includes(id) && readOf(id, 'comm').trim() === 'Worker')
}

/** Returns the nice value of a thread: the 19th field of its stat, whose second field is a name in parentheses. */
export function niceOf(thread: string): number {
  return Number(readOf(thread, 'stat').split(') ').at(-1)?.split(' ')[16])
}

function readOf(thread: string, file: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/${file}`, 'utf8')
  } catch {
    // The thread has ended.
    return ''
  }
}
