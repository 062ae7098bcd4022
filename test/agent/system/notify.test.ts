// sd_notify with real datagram sockets, which a Python process opens because neither Bun nor Node has them.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readlinkSync } from 'node:fs'
import { createNotifier, socketAddress } from '../../../agent/system/notify.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', '\\0', 1))
print('bound', flush=True)
while True:
    print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`

/** Receives the datagrams of a socket, one line each. */
async function receive(path: string) {
  const child = Bun.spawn(['python3', '-c', RECEIVER, path], { stdout: 'pipe', stderr: 'inherit' })
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const nextLine = async (): Promise<string> => {
    while (!text.includes('\n')) {
      const { value, done } = await reader.read()
      if (done) throw new Error('the receiver ended')
      text += value
    }
    const line = text.slice(0, text.indexOf('\n'))
    text = text.slice(line.length + 1)
    return line
  }
  expect(await nextLine()).toBe('bound')
  return { nextLine, [Symbol.dispose]: () => child.kill() }
}

/** Returns the sockets that this process has open. */
function openSockets(): string[] {
  return readdirSync('/proc/self/fd')
    .flatMap((descriptor) => linkOf(`/proc/self/fd/${descriptor}`))
    .filter((target) => target.startsWith('socket:'))
    .toSorted()
}

/** Returns the target of a link; none when it has just been closed, like that of the listing itself. */
function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch {
    return []
  }
}

const pythonTest = requireTool('python3', 'python3')

describe('notify', () => {
  pythonTest('sends states to a socket in the file system', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('notify')
    using receiver = await receive(path)
    const clock = createManualClock()
    using notifier = createNotifier({ clock, log: createMemoryLog(), socket: path, watchdogMs: undefined })
    notifier.ready('serving on 127.0.0.1:8420')
    expect(await receiver.nextLine()).toBe('READY=1 STATUS=serving on 127.0.0.1:8420')
    notifier.status('two\nlines')
    expect(await receiver.nextLine()).toBe('STATUS=two lines')
    clock.advance(1500)
    notifier.reloading()
    expect(await receiver.nextLine()).toBe('RELOADING=1 MONOTONIC_USEC=1500000')
    notifier.stopping('draining')
    expect(await receiver.nextLine()).toBe('STOPPING=1 STATUS=draining')
  })

  pythonTest('sends a keep-alive every half interval while the process is alive', async () => {
    const path = `@slipway-test-${process.pid}`
    using receiver = await receive(path)
    const clock = createManualClock()
    using notifier = createNotifier({ clock, log: createMemoryLog(), socket: path, watchdogMs: 10_000 })
    let isAlive = true
    notifier.startWatchdog(() => isAlive)
    expect(await receiver.nextLine()).toBe('WATCHDOG=1')
    clock.advance(5000)
    expect(await receiver.nextLine()).toBe('WATCHDOG=1')
    isAlive = false
    clock.advance(5000)
    notifier.status('last')
    expect(await receiver.nextLine()).toBe('STATUS=last')
  })

  test.each([undefined, ''])('sends nothing, opens no socket and logs nothing when NOTIFY_SOCKET is %p', (socket) => {
    const clock = createManualClock()
    const log = createMemoryLog()
    const before = openSockets()
    using notifier = createNotifier({ clock, log, socket, watchdogMs: 10_000 })
    notifier.ready('serving')
    notifier.status('still serving')
    notifier.reloading()
    notifier.startWatchdog(() => true)
    clock.advance(20_000)
    notifier.stopping('done')
    expect(openSockets()).toEqual(before)
    expect(log.lines).toEqual([])
  })

  test('opens one socket when there is one to send to', async () => {
    await using folder = await createTemporaryFolder()
    const before = openSockets()
    using notifier = createNotifier({ clock: createManualClock(), log: createMemoryLog(), socket: folder.file('nobody'), watchdogMs: undefined })
    notifier.ready('serving')
    expect(openSockets().length).toBe(before.length + 1)
  })

  test('warns once when no process listens', async () => {
    await using folder = await createTemporaryFolder()
    const log = createMemoryLog()
    using notifier = createNotifier({ clock: createManualClock(), log, socket: folder.file('nobody'), watchdogMs: undefined })
    notifier.ready('serving')
    notifier.status('still serving')
    expect(log.lines).toHaveLength(1)
  })
})

describe('socketAddress', () => {
  test('refuses text that is not a socket name', () => {
    expect(socketAddress('relative')).toBeUndefined()
    expect(socketAddress('@')).toBeUndefined()
    expect(socketAddress(`/${'a'.repeat(107)}`)).toBeUndefined()
  })

  test('writes family, path and NUL, or NUL and abstract name', () => {
    expect([...(socketAddress('/a') ?? [])]).toEqual([1, 0, 0x2f, 0x61, 0])
    expect([...(socketAddress('@a') ?? [])]).toEqual([1, 0, 0, 0x61])
  })
})
