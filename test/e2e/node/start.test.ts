// `run start` as users run it: with npx or bun, at a terminal, with piped lines, and as a service without input.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// On a busy machine a start takes longer than the runner's default of 5 s.
setDefaultTimeout(60_000)

const ROOT = join(import.meta.dir, '../../..')
const pythonTest = requireTool('python3', 'python3')
const npxTest = requireTool('npx', 'npm')

interface Started extends AsyncDisposable {
  readonly pid: number
  output(): string
  /** Returns the response of its agent on a path; undefined while no agent responds. */
  get(path: string): Promise<Response | undefined>
  ended(): Promise<number>
  write(text: string): void
  /** Closes its input. */
  close(): void
}

interface StartOptions {
  readonly input?: 'pipe' | 'ignore'
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** Starts on a home folder with a free port; disposing kills it, which also ends its agent. */
function start(home: string, { input = 'ignore', command = [process.execPath, 'scripts/start.ts'], environment = {} }: StartOptions = {}): Started {
  const child = Bun.spawn([...command], {
    cwd: ROOT,
    stdin: input,
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home, SLIPWAY_NETWORK_LISTEN: '127.0.0.1:0', ...environment },
  })
  let text = ''
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) text += piece
  }
  const reading = Promise.all([read(child.stdout), read(child.stderr)])
  return {
    pid: child.pid,
    output: () => text,
    async get(path) {
      const url = /Address {3}(\S+)/.exec(text)?.[1]
      return url === undefined ? undefined : await fetch(url + path).catch(() => undefined)
    },
    async ended() {
      await child.exited
      await reading
      return child.exitCode ?? -1
    },
    write: (line) => void child.stdin?.write(line),
    close: () => void child.stdin?.end(),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}

const serving = (started: Started) => until('the agent answers', async () => (await started.get('/v1/health'))?.ok)
const silent = (started: Started) => until('the agent has exited', async () => (await started.get('/v1/health')) === undefined)

describe('without input', () => {
  test('serves until SIGTERM, then exits with 0 and leaves no agent behind', async () => {
    await using folder = await createTemporaryFolder()
    await using started = start(folder.path)
    await serving(started)
    expect(started.output()).toContain(`Token     ${folder.file('agent/admin-token')}`)
    process.kill(started.pid, 'SIGTERM')
    expect(await started.ended()).toBe(0)
    await silent(started)
    expect(await Bun.file(folder.file('agent.log')).text()).toContain('"msg":"stopped"')
  })

  test('the agent exits when the start is killed, and the next start uses the same store and token', async () => {
    await using folder = await createTemporaryFolder()
    const stores: string[] = []
    const tokens: string[] = []
    for (let round = 0; round < 2; round++) {
      await using started = start(folder.path)
      await serving(started)
      stores.push(await Bun.file(folder.file('store/store.json')).text())
      tokens.push(await Bun.file(folder.file('agent/admin-token')).text())
      process.kill(started.pid, 'SIGKILL')
      await silent(started)
    }
    expect(stores[0]).toBe(stores[1] ?? '')
    expect(tokens[0]).toBe(tokens[1] ?? '')
  })

  npxTest('exits with npx, which does not forward the signal', async () => {
    await using folder = await createTemporaryFolder()
    await using started = start(folder.path, { command: ['npx', '-y', 'bun@1.4.5', 'run', 'start'] })
    await serving(started)
    process.kill(started.pid, 'SIGTERM')
    await silent(started)
  })

  test('continues after the shell that started it in the background has ended', async () => {
    await using folder = await createTemporaryFolder()
    await using started = start(folder.path, { command: ['sh', '-c', `${process.execPath} run start & echo pid $!; wait $!`] })
    await serving(started)
    process.kill(started.pid, 'SIGKILL')
    // Longer than the interval at which it checks its parent processes.
    await Bun.sleep(1000)
    expect((await started.get('/v1/health'))?.status).toBe(200)
    process.kill(Number(/pid (\d+)/.exec(started.output())?.[1]), 'SIGTERM')
    await silent(started)
  })
})

describe('piped lines', () => {
  test('are run one by one, then everything stops; the exit code is the highest of theirs', async () => {
    await using folder = await createTemporaryFolder()
    await using started = start(folder.path, { input: 'pipe' })
    started.write('store list --json\nstore health local --json\nimage show nothing\n')
    started.close()
    expect(await started.ended()).toBe(1)
    const lines = started.output()
    expect(lines).toContain('"name":"local"')
    expect(lines).toContain('nothing')
    await silent(started)
  })

  test('keep the agent serving while the input stays open', async () => {
    await using folder = await createTemporaryFolder()
    await using started = start(folder.path, { input: 'pipe' })
    await serving(started)
    started.write('zone list\n')
    await until('the line was run', () => started.output().includes('zone-1'))
    await serving(started)
    started.close()
    expect(await started.ended()).toBe(0)
  })
})

describe('a terminal', () => {
  pythonTest('shows the console; Ctrl-D stops console and agent cleanly', async () => {
    await using folder = await createTemporaryFolder()
    const script = `
import os, pty, sys
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    import fcntl, termios
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for n in (0, 1, 2): os.dup2(slave, n)
    os.execv(sys.argv[1], sys.argv[1:])
os.close(slave)
text = b''
sent = False
while True:
    try:
        piece = os.read(master, 4096)
    except OSError:
        break
    if not piece: break
    text += piece
    sys.stdout.buffer.write(piece); sys.stdout.flush()
    if not sent and b'slipway> ' in text:
        sent = True
        os.write(master, b'\\x04')
_, status = os.waitpid(pid, 0)
print('exit', os.waitstatus_to_exitcode(status))
`
    await using started = start(folder.path, { command: ['python3', '-c', script, process.execPath, 'scripts/start.ts'] })
    expect(await started.ended()).toBe(0)
    expect(started.output()).toContain('Three things to try')
    expect(started.output()).toContain('exit 0')
    expect(await Bun.file(folder.file('agent.log')).text()).toContain('"msg":"stopped"')
    await silent(started)
  })
})

describe('refusals', () => {
  test('a port in use ends the start with one sentence and exit code 2', async () => {
    await using folder = await createTemporaryFolder()
    await using other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('other') })
    await using started = start(folder.path, { environment: { SLIPWAY_NETWORK_LISTEN: `127.0.0.1:${other.port}` } })
    expect(await started.ended()).toBe(2)
    expect(started.output().trim()).toBe(
      `The address 127.0.0.1:${other.port} is taken by another process. Stop that process, or set network.listen to another port.`,
    )
  })
})
