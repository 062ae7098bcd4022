// Syncs between two agents in network namespaces of their own, with separate networks for management, data and sync. A capture on every interface shows
// where the bytes of images pass.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess, AgentProcessOptions } from '../../support/agents/agent-process.ts'
import { agentProgram } from '../../support/agents/programs.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom } from '../../support/properties.ts'
import { hasTool, requireThat, requireTool } from '../../support/require.ts'
import type { TestFunction } from '../../support/require.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** Most bytes of one sync that are not the image: the announcement of networks, heads and handshakes. */
const MANAGEMENT_BYTES_MAX = 64 * 1024
const PORT = 8420
/** The interfaces of both nodes, and the third byte of their addresses: 10.213.N.1 is the source, 10.213.N.2 the target. */
const LINES = { management: 1, sync: 2, other: 3 } as const
type Line = keyof typeof LINES

const source = `slipway-a-${process.pid}`
const target = `slipway-b-${process.pid}`

async function run(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')}: ${error}`)
  return out
}

const within = (namespace: string, ...command: string[]): string[] => ['ip', 'netns', 'exec', namespace, ...command]

/** Whether this machine may create network namespaces with pairs of interfaces. */
async function canCreateNamespaces(): Promise<boolean> {
  if (!hasTool('ip', 'iproute2') || process.getuid?.() !== 0) return false
  const name = `slipway-probe-${process.pid}`
  try {
    await run('ip', 'netns', 'add', name)
    await run('ip', '-n', name, 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1')
    return true
  } catch {
    return false
  } finally {
    await run('ip', 'netns', 'del', name).catch(() => {})
  }
}

async function connectNamespaces(): Promise<void> {
  for (const name of [source, target]) {
    await run('ip', 'netns', 'add', name)
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  }
  for (const [line, number] of Object.entries(LINES)) {
    await run('ip', 'link', 'add', line, 'netns', source, 'type', 'veth', 'peer', 'name', line, 'netns', target)
    for (const [name, host] of [
      [source, 1],
      [target, 2],
    ] as const) {
      await run('ip', '-n', name, 'addr', 'add', `10.213.${number}.${host}/24`, 'dev', line)
      await run('ip', '-n', name, 'link', 'set', line, 'up')
    }
  }
  // The kernel reports the addresses of a line to programs once it has noticed that both ends are up.
  const isUp = async (name: string, line: string): Promise<boolean> => /^\S+ +UP /.test(await run('ip', '-n', name, '-br', 'link', 'show', line))
  for (const name of [source, target]) for (const line of Object.keys(LINES)) await until(`${line} is up in ${name}`, () => isUp(name, line))
}

/** Sends a request from the namespace of the target, or of the source, and returns the answer as JSON. */
async function ask(namespace: string, method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const host = namespace === source ? 1 : 2
  const data = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]
  const url = `http://10.213.1.${host}:${PORT}${path}`
  return JSON.parse(await run(...within(namespace, 'curl', '-sS', '-X', method, '-H', `authorization: Bearer ${TEST_ADMIN_TOKEN}`, ...data, url)))
}

/** Bytes that the target received on each line. */
async function received(): Promise<Record<Line, number>> {
  const read = async (line: Line) => Number(await run(...within(target, 'cat', `/sys/class/net/${line}/statistics/rx_bytes`)))
  return { management: await read('management'), sync: await read('sync'), other: await read('other') }
}

const tcpdumpTest: TestFunction = (await canCreateNamespaces())
  ? requireTool('tcpdump', 'tcpdump')
  : requireThat(false, 'syncs in network namespaces are not tested: this machine cannot create them')

describe('two agents in network namespaces', () => {
  const folders: TemporaryFolder[] = []
  let isReady = false

  /** Returns how an agent is started in a namespace; `networks` are lines of its section [network]. */
  const optionsOf = (namespace: string, networks: string): AgentProcessOptions => ({
    command: within(namespace, ...agentProgram()),
    environment: { SLIPWAY_NETWORK_LISTEN: `10.213.1.${namespace === source ? 1 : 2}:${PORT}` },
    config: networks,
  })
  const start = async (namespace: string, networks: string): Promise<AgentProcess> => {
    const folder = await createTemporaryFolder()
    folders.push(folder)
    return ends.use(await startAgent(folder.path, optionsOf(namespace, networks)))
  }
  const ends = new AsyncDisposableStack()

  beforeAll(async () => {
    if (tcpdumpTest !== test) return
    ends.defer(async () => {
      for (const name of [source, target]) await run('ip', 'netns', 'del', name).catch(() => {})
      for (const folder of folders) await folder[Symbol.asyncDispose]()
    })
    await connectNamespaces()
    isReady = true
  })
  afterAll(() => ends.disposeAsync())

  /** Uploads random bytes to the source and returns the id of the image. */
  const upload = async (bytes: Uint8Array): Promise<string> => {
    const folder = await createTemporaryFolder()
    folders.push(folder)
    await Bun.write(folder.file('image'), bytes)
    const headers = ['Tus-Resumable: 1.0.0', `Upload-Length: ${bytes.byteLength}`, 'Content-Type: application/offset+octet-stream']
    const fields = [...headers, `authorization: Bearer ${TEST_ADMIN_TOKEN}`, `Upload-Metadata: name ${btoa('over the sync network')}`].flatMap((field) => [
      '-H',
      field,
    ])
    const url = `http://10.213.1.1:${PORT}/v1/uploads`
    const answer = await run(...within(source, 'curl', '-sS', '-D', '-', '-o', '/dev/null', ...fields, '--data-binary', `@${folder.file('image')}`, url))
    const id = /content-location: \/v1\/images\/(\S+)/i.exec(answer)?.[1] ?? ''
    await until('the image is available', async () => (await ask(source, 'GET', `/v1/images/${id}`))['status'] === 'available')
    return id
  }

  const sync = async (id: string, token = TEST_ADMIN_TOKEN): Promise<Record<string, unknown>> => {
    const order = { source: { url: `http://10.213.1.1:${PORT}`, token }, images: [id] }
    const task = await ask(target, 'POST', '/v1/sync', order)
    if (typeof task['id'] !== 'string') return task
    const path = `/v1/tasks/${task['id']}`
    return until('the sync has ended', async () => {
      const shown = await ask(target, 'GET', path)
      return shown['endedAt'] === null ? undefined : shown
    })
  }

  /** Captures the packets of all lines at the target while `work` runs. Returns whether each capture contains one of the markers. */
  const capture = async (markers: readonly Uint8Array[], work: () => Promise<void>): Promise<Record<Line, boolean>> => {
    const folder = await createTemporaryFolder()
    folders.push(folder)
    const lines = Object.keys(LINES) as Line[]
    const dumps = lines.map((line) =>
      Bun.spawn(within(target, 'tcpdump', '-U', '-s', '0', '-B', '16384', '-i', line, '-w', folder.file(line)), { stderr: 'pipe' }),
    )
    try {
      for (const [i, dump] of dumps.entries()) {
        const reader = dump.stderr.getReader()
        let text = ''
        while (!text.includes('listening on')) {
          const { value, done } = await reader.read()
          if (done) throw new Error(`tcpdump of ${lines[i]} ended: ${text}`)
          text += new TextDecoder().decode(value)
        }
        reader.releaseLock()
      }
      await work()
    } finally {
      for (const dump of dumps) dump.kill('SIGINT')
      await Promise.all(dumps.map((dump) => dump.exited))
    }
    const has = async (line: Line): Promise<boolean> => {
      const packets = Buffer.from(await Bun.file(folder.file(line)).bytes())
      return markers.some((marker) => packets.includes(marker))
    }
    return { management: await has('management'), sync: await has('sync'), other: await has('other') }
  }

  /** Syncs a new image of 8 MiB by a grant and returns on which lines its bytes were captured, and the bytes of each line. */
  const syncNewImage = async (seed: number) => {
    const bytes = new Uint8Array(createRandom(seed).bytes(8 * MIB))
    const id = await upload(bytes)
    const before = await received()
    let task: Record<string, unknown> = {}
    // Random bytes are stored and sent as they are, so short pieces of the image are found in a capture unless a packet ends within one.
    const markers = Array.from({ length: 32 }, (_, i) => bytes.subarray(i * 100_000, i * 100_000 + 64))
    const seen = await capture(markers, async () => {
      const { token } = await ask(source, 'POST', '/v1/sync/grants', { images: [id], hours: 1 })
      task = await sync(id, String(token))
    })
    const after = await received()
    return { seen, task, moved: { management: after.management - before.management, sync: after.sync - before.sync, other: after.other - before.other } }
  }

  tcpdumpTest(
    'image bytes pass the sync network only, that of the target wins, and a node without an address in it refuses',
    async () => {
      expect(isReady).toBe(true)
      await start(source, 'sync = "10.213.2.0/24"\ndata = "10.213.3.0/24"')
      const agent = await start(target, 'sync = "10.213.2.0/24"')

      const same = await syncNewImage(1)
      expect(same.task['error']).toBeUndefined()
      expect(same.seen).toEqual({ management: false, sync: true, other: false })
      expect(same.moved.sync).toBeGreaterThan(8 * MIB)
      expect(same.moved.management).toBeLessThan(MANAGEMENT_BYTES_MAX)
      expect(same.moved.other).toBeLessThan(MANAGEMENT_BYTES_MAX)

      // The network of the target is another one than the sync network of the source, which has an address there too.
      await agent.restart(optionsOf(target, 'sync = "10.213.3.0/24"'))
      const ofTarget = await syncNewImage(2)
      expect(ofTarget.task['error']).toBeUndefined()
      expect(ofTarget.seen).toEqual({ management: false, sync: false, other: true })
      expect(ofTarget.moved.other).toBeGreaterThan(8 * MIB)

      // Without network.sync of the target, that of the source is used.
      await agent.restart(optionsOf(target, ''))
      const ofSource = await syncNewImage(3)
      expect(ofSource.task['error']).toBeUndefined()
      expect(ofSource.seen).toEqual({ management: false, sync: true, other: false })

      // Without an address in the sync network of the source, the target refuses instead of taking another network.
      await run('ip', '-n', target, 'addr', 'del', '10.213.2.2/24', 'dev', 'sync')
      const refused = await syncNewImage(4)
      expect(refused.task).toMatchObject({ state: 'failed', error: { type: 'urn:slipway:problem:no-network-address' } })
      expect(refused.seen).toEqual({ management: false, sync: false, other: false })
      expect(refused.moved.management).toBeLessThan(MANAGEMENT_BYTES_MAX)

      // The same when the own network of the target loses its address while the agent runs: the order itself is refused.
      await agent.restart(optionsOf(target, 'sync = "10.213.3.0/24"'))
      await run('ip', '-n', target, 'addr', 'del', '10.213.3.2/24', 'dev', 'other')
      expect(await sync('any')).toMatchObject({
        type: 'urn:slipway:problem:no-network-address',
        status: 409,
        detail: 'This node has no address in 10.213.3.0/24, network.sync of this store.',
      })
    },
    120_000,
  )
})
