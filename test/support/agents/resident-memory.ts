// Reads the resident memory of processes from /proc. getrusage(2) does not work here, because a program inherits the maximum of the process
// that started it, so that every child of a large test runner appears large.

import { readFileSync, writeFileSync } from 'node:fs'

/** Returns the highest resident memory of a process since its start or the last reset, in bytes (proc(5), VmHWM). */
export function residentBytesMax(pid: number): number {
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}

/** Resets the maximum of `residentBytesMax` (proc(5), clear_refs). */
export function resetResidentBytesMax(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}
