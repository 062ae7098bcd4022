// Receives the messages of a service to systemd on a real datagram socket, which a Python process opens because neither Bun nor Node can.

const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`

export interface Notifications extends Disposable {
  /** Datagrams that have arrived, the lines of each joined by spaces. */
  readonly lines: readonly string[]
}

/** Receives at a path for $NOTIFY_SOCKET; resolves once the socket exists. */
export async function receiveNotifications(path: string): Promise<Notifications> {
  const child = Bun.spawn(['python3', '-c', RECEIVER, path], { stdout: 'pipe', stderr: 'inherit' })
  const lines: string[] = []
  const bound = Promise.withResolvers<void>()
  const read = async (): Promise<void> => {
    let text = ''
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      const whole = (text + piece).split('\n')
      text = whole.pop() ?? ''
      lines.push(...whole)
      if (lines[0] === 'bound') bound.resolve()
    }
    bound.reject(new Error('the receiver ended'))
  }
  void read()
  await bound.promise
  return { lines, [Symbol.dispose]: () => child.kill() }
}
