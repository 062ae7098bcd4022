// The most HTTP requests that this process can have in progress. The runtime allows 256 unless a variable says otherwise when the process
// starts, and a stream is a request that never ends. A service that was started without the variable therefore starts itself again in its place.

import { dlopen, FFIType, ptr } from 'bun:ffi'
import { readFileSync, readlinkSync } from 'node:fs'

/** The variable that the runtime reads. */
export const REQUESTS_VARIABLE = 'BUN_CONFIG_MAX_HTTP_REQUESTS'
/** What the runtime allows without the variable. */
export const REQUESTS_DEFAULT = 256
/** Requests that are kept for commands while all others are streams. */
const REQUESTS_KEPT = 96
/** What the service asks for. */
const REQUESTS_WANTED = 4096

/**
 * Replaces the process by the same program with the variable set (execve(2)): process id, open sockets of systemd and standard streams stay. Returns
 * when the variable is set already, and where the system has no /proc: the service then asks stores beyond the limit at an interval.
 */
export function raiseRequestLimit(environment: Readonly<Record<string, string | undefined>>): void {
  if (environment[REQUESTS_VARIABLE] !== undefined || process.platform !== 'linux') return
  const words = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1)
  const variables = Object.entries({ ...environment, [REQUESTS_VARIABLE]: String(REQUESTS_WANTED) }).map(([name, value]) => `${name}=${value ?? ''}`)
  const texts: Buffer[] = []
  const listOf = (values: readonly string[]): BigUint64Array => {
    const own = values.map((value) => Buffer.from(`${value}\0`))
    texts.push(...own)
    // The list ends with a null pointer.
    return BigUint64Array.from([...own.map((text) => BigInt(ptr(text))), 0n])
  }
  const argv = listOf(words)
  const envp = listOf(variables)
  const libc = dlopen('libc.so.6', { execve: { args: [FFIType.cstring, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 } })
  libc.symbols.execve(Buffer.from(`${readlinkSync('/proc/self/exe')}\0`), ptr(argv), ptr(envp))
  libc.close()
}

/** Returns how many streams may be open when the runtime allows this many requests. */
export function streamsOf(requestsMax: number): number {
  return Math.max(0, requestsMax - REQUESTS_KEPT)
}
