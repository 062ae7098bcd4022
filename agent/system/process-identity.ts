// Identifies this process so that another machine on the same mount path can judge it: host, boot, process namespace,
// process id and start time (proc(5)).

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { hasCode } from '../../protocol/errors.ts'

/** One process of one boot of one machine. Times are ticks since boot, as the kernel writes them. */
export interface ProcessIdentity {
  /** Hash of the machine id and the state folder: an agent has the same value after a restart. */
  readonly holder: string
  readonly hostname: string
  readonly bootId: string
  readonly pidNamespace: string
  readonly pid: number
  readonly startTime: string
}

/** Returns the identity of this process; the state folder distinguishes agents of one machine. */
export function readProcessIdentity(stateFolder: string): ProcessIdentity {
  const machineId = readText('/etc/machine-id') ?? hostname()
  return {
    holder: createHash('sha256').update(`${machineId}\0${stateFolder}`).digest('hex').slice(0, 32),
    hostname: hostname(),
    bootId: readText('/proc/sys/kernel/random/boot_id') ?? 'unknown',
    pidNamespace: readNamespace(),
    pid: process.pid,
    startTime: readStatus(process.pid)?.startTime ?? 'unknown',
  }
}

/**
 * Returns whether a process is certainly gone: it ran in this boot and this process namespace, and its id is free or belongs
 * to a process that started at another time. Returns false also when this process cannot find out.
 */
export function isProcessGone(other: ProcessIdentity, self: ProcessIdentity): boolean {
  if (other.bootId !== self.bootId || other.pidNamespace !== self.pidNamespace) return false
  if (other.bootId === 'unknown' || other.pidNamespace === 'unknown') return false
  try {
    // Signal 0 also reaches processes that /proc hides (hidepid, ProtectProc=).
    process.kill(other.pid, 0)
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return true
  }
  const status = readStatus(other.pid)
  return status !== undefined && (status.isDead || status.startTime !== other.startTime)
}

/** Returns whether a process is certainly running: same boot and namespace as this one, and neither gone nor replaced. */
export function isProcessRunning(other: ProcessIdentity, self: ProcessIdentity): boolean {
  const isSameKernel = other.bootId === self.bootId && other.pidNamespace === self.pidNamespace && other.bootId !== 'unknown'
  const status = isSameKernel ? readStatus(other.pid) : undefined
  return status !== undefined && !status.isDead && status.startTime === other.startTime
}

/** State and start time, fields 3 and 22 of /proc/PID/stat; the second may hold spaces and brackets, so count from its last bracket. */
function readStatus(pid: number): { readonly isDead: boolean; readonly startTime: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const startTime = fields?.[19]
  // A zombie keeps its id until its parent waits for it, and nothing else.
  return startTime === undefined ? undefined : { isDead: fields?.[0] === 'Z' || fields?.[0] === 'X', startTime }
}

function readNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    // Without /proc the lease falls back to its heartbeat.
    return 'unknown'
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    // Not every system has these files; the lease falls back to its heartbeat.
    return undefined
  }
}
