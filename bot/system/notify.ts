// sd_notify(3) of the bot: one datagram to $NOTIFY_SOCKET for each state, sent with libc's sendto, because neither Bun nor Node has Unix
// datagram sockets. Without the variable, nothing is sent.

import { dlopen, FFIType, ptr } from 'bun:ffi'
import type { Clock } from './clock.ts'

const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000
/** sockaddr_un holds 108 bytes of path. */
const SOCKET_PATH_MAX = 107

export interface Notifier extends Disposable {
  /** Changes what `systemctl status` shows. */
  status(text: string): void
  ready(status: string): void
  stopping(status: string): void
}

export interface NotifierDeps {
  readonly clock: Pick<Clock, 'every'>
  /** $NOTIFY_SOCKET: an absolute path, or `@name` for an abstract socket. */
  readonly socket: string | undefined
  /** Watchdog interval in milliseconds; undefined without a watchdog. */
  readonly watchdogMs: number | undefined
}

/** Creates the notifier. After `ready` it also sends WATCHDOG=1 twice in each watchdog interval. */
export function createNotifier({ clock, socket, watchdogMs }: NotifierDeps): Notifier {
  const address = socket === undefined ? undefined : socketAddress(socket)
  const send = address ? openSocket(address) : () => {}
  let watchdog: Disposable | undefined
  return {
    status: (text) => send(`STATUS=${text}`),
    ready(status) {
      send(`READY=1\nSTATUS=${status}`)
      if (watchdogMs !== undefined) watchdog = clock.every(watchdogMs / 2, () => send('WATCHDOG=1'))
    },
    stopping: (status) => send(`STOPPING=1\nSTATUS=${status}`),
    [Symbol.dispose]: () => watchdog?.[Symbol.dispose](),
  }
}

function openSocket(address: Uint8Array<ArrayBuffer>): (message: string) => void {
  const libc = dlopen('libc.so.6', {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i64 },
  })
  const descriptor = libc.symbols.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)
  return (message) => {
    const bytes = new TextEncoder().encode(message)
    // The next WATCHDOG makes up for a lost one; a lost READY ends in the start timeout of systemd, which reports it.
    libc.symbols.sendto(descriptor, ptr(bytes), BigInt(bytes.byteLength), MSG_DONTWAIT_NOSIGNAL, ptr(address), address.byteLength)
  }
}

/** sockaddr_un (unix(7)): the family, then the path and its NUL, or a NUL and the abstract name. */
function socketAddress(path: string): Uint8Array<ArrayBuffer> | undefined {
  const isAbstract = path.startsWith('@')
  const name = new TextEncoder().encode(isAbstract ? path.slice(1) : path)
  if ((!isAbstract && !path.startsWith('/')) || name.byteLength === 0 || name.byteLength > SOCKET_PATH_MAX) return undefined
  const address = new Uint8Array(2 + 1 + name.byteLength)
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(name, isAbstract ? 3 : 2)
  return address
}
