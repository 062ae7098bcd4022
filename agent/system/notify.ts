// sd_notify(3) without another process: one datagram to $NOTIFY_SOCKET for each state, sent with libc's sendto because
// neither Bun nor Node has Unix datagram sockets. Without the variable (no systemd) nothing is sent.

import { dlopen, FFIType, ptr } from 'bun:ffi'
import type { Clock, Log } from '../contract/runtime.ts'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
/** sockaddr_un holds 108 bytes of path. */
const SOCKET_PATH_MAX = 107

/** Sends the state of this process to systemd. Never throws: the first message that cannot be sent is logged. */
export interface Notifier extends Disposable {
  /** Reports that the start or a reload has finished. */
  ready(status: string): void
  status(text: string): void
  reloading(): void
  stopping(status: string): void
  /** Sends a keep-alive every half of the watchdog's interval while `isAlive` returns true. */
  startWatchdog(isAlive: () => boolean): void
}

export interface NotifierDeps {
  readonly clock: Clock
  readonly log: Log
  /** $NOTIFY_SOCKET: an absolute path, or `@name` for an abstract socket. */
  readonly socket: string | undefined
  /** $WATCHDOG_USEC in milliseconds when it is meant for this process. */
  readonly watchdogMs: number | undefined
}

/** Creates the notifier of this process. */
export function createNotifier({ clock, log, socket, watchdogMs }: NotifierDeps): Notifier {
  const send = socket === undefined || socket === '' ? () => {} : openSocket(socket, log)
  let watchdog: Disposable | undefined
  return {
    ready: (status) => send(`READY=1\nSTATUS=${oneLine(status)}`),
    status: (text) => send(`STATUS=${oneLine(text)}`),
    reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${Math.round(clock.monotonicMs() * 1000)}`),
    stopping: (status) => send(`STOPPING=1\nSTATUS=${oneLine(status)}`),
    startWatchdog(isAlive) {
      if (watchdogMs === undefined) return
      const beat = (): void => {
        if (isAlive()) send('WATCHDOG=1')
      }
      beat()
      watchdog = clock.every(watchdogMs / 2, beat)
    },
    [Symbol.dispose]: () => watchdog?.[Symbol.dispose](),
  }
}

/** Opens the socket, and returns a function that sends one message to it. */
function openSocket(path: string, log: Log): (message: string) => void {
  const address = socketAddress(path)
  if (!address) {
    log.warn('NOTIFY_SOCKET is neither an absolute path nor an abstract name; systemd is not notified', { socket: path })
    return () => {}
  }
  const libc = dlopen('libc.so.6', {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i64 },
  })
  const descriptor = libc.symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  let isTold = false
  return (message) => {
    const bytes = new TextEncoder().encode(message)
    const sent = libc.symbols.sendto(descriptor, ptr(bytes), BigInt(bytes.byteLength), MSG_DONTWAIT | MSG_NOSIGNAL, ptr(address), address.byteLength)
    if (Number(sent) === bytes.byteLength || isTold) return
    isTold = true
    log.warn('a message to systemd could not be sent', { socket: path, message })
  }
}

/** Returns the sockaddr_un of a socket (unix(7)): the family, then the path and its NUL, or a NUL and the abstract name. */
export function socketAddress(path: string): Uint8Array<ArrayBuffer> | undefined {
  const isAbstract = path.startsWith('@')
  if (!isAbstract && !path.startsWith('/')) return undefined
  const name = new TextEncoder().encode(isAbstract ? path.slice(1) : path)
  if (name.byteLength === 0 || name.byteLength > SOCKET_PATH_MAX) return undefined
  const address = new Uint8Array(2 + 1 + name.byteLength)
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(name, isAbstract ? 3 : 2)
  return address
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
