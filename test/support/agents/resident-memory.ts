// Resident memory of processes. It is read from /proc and not from getrusage(2): there a program inherits the maximum of the process
// that started it, so the child of a large test runner looks large.

import { readFileSync, writeFileSync } from 'node:fs'

/** Most memory that a process has had resident since it was started or reset, in bytes (proc(5), VmHWM). */
export function residentBytesMax(pid: number): number {
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}

/** Makes `residentBytesMax` count from now on (proc(5), clear_refs). */
export function resetResidentBytesMax(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}
