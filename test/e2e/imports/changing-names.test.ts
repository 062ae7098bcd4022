// Imports from names whose DNS answers change, and by redirects: an agent that resolves with a real DNS server never connects to an address that it
// may not use, whatever the server says when it is asked again.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Task } from '../../../protocol/task.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { agentProgram } from '../../support/agents/programs.ts'
import { resolvingWith, startDnsServer } from '../../support/clients/dns-server.ts'
import type { DnsServer } from '../../support/clients/dns-server.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireThat } from '../../support/require.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(120_000)

/** The only address that imports may use, and one that stands for a service of the node. Both have a server at the same port. */
const PUBLIC = '127.9.0.1'
const PRIVATE = '127.0.0.1'
const BYTES = seededBytes(3_000_000, 1)

const canResolve = process.getuid?.() === 0 && Bun.spawnSync(['unshare', '--mount', 'true']).exitCode === 0
const dnsTest = requireThat(canResolve, 'an agent with a resolver of its own needs root rights and mount namespaces')

let stack: AsyncDisposableStack
let dns: DnsServer
let agent: AgentProcess
let port: number
/** Connections that the private server got. */
let reached = 0
/** Connections that the public server got. */
let connections = 0
let cuts = 0
/** Where the public server redirects to. */
let target = ''
/** Answers of the public server until the one that it cuts in its middle; 0 for none. */
let answersToCut = 0

async function listen(server: Server, address: string, at: number): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(at, address, resolve))
  stack.defer(() => server.closeAllConnections())
  stack.defer(() => void server.close())
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  if (!canResolve) return
  stack = new AsyncDisposableStack()
  const secret = createServer((_request, response) => response.end('a secret of the node'))
  secret.on('connection', () => reached++)
  port = await listen(secret, PRIVATE, 0)
  const open = createServer((request, response) => {
    if (request.url === '/redirect') return void response.writeHead(302, { location: target }).end()
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const more = request.headers.range === undefined ? {} : { 'content-range': `bytes ${start}-${BYTES.byteLength - 1}/${BYTES.byteLength}` }
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      etag: '"1"',
      'accept-ranges': 'bytes',
      'content-length': BYTES.byteLength - start,
      ...more,
    })
    if (answersToCut === 0 || --answersToCut > 0) return void response.end(BYTES.subarray(start))
    cuts++
    response.write(BYTES.subarray(start, start + 1_000_000), () => setTimeout(() => request.socket.destroy(), 200))
  })
  open.on('connection', () => connections++)
  await listen(open, PUBLIC, port)
  dns = stack.use(await startDnsServer())
  const folder = stack.use(await createTemporaryFolder())
  agent = stack.use(
    await startAgent(folder.path, {
      config: `[imports]\nallow = ["${PUBLIC}"]\n`,
      command: [...(await resolvingWith(dns, folder.file('resolv.conf'))), ...agentProgram()],
    }),
  )
}, 60_000)

afterAll(() => stack?.disposeAsync())

/** Imports from a URL; returns the state of the task and the code of its problem. Nothing is left of a refused one. */
async function importFrom(url: string): Promise<string> {
  const before = reached
  const headers = agent.headers({ 'content-type': 'application/json' })
  const answer = await fetch(`${agent.url}/v1/images`, { method: 'POST', headers, body: JSON.stringify({ name: 'x', source: { url } }) })
  const body = (await answer.json()) as Task & { type: string }
  // The private server is never reached, also not to find out what answers.
  if (answer.status !== 202) return `${codeOf(body.type)}, ${reached - before} reached`
  const task = await until('the import has ended', async () => {
    const found = await agent.client.tasks.get(body.id)
    return found.endedAt === null ? undefined : found
  })
  if (task.state === 'succeeded') expect((await agent.client.images.get(task.subject)).length).toBe(BYTES.byteLength)
  else expect((await agent.client.images.list({ name: 'x', status: 'creating' })).items).toEqual([])
  return `${task.state === 'succeeded' ? 'succeeded' : codeOf(task.error?.type)}, ${reached - before} reached`
}

function codeOf(type: string | undefined): string {
  return type?.split(':').at(-1) ?? 'no problem'
}

describe('a DNS server that changes its answer', () => {
  dnsTest('is asked once for the request and once for each connection, whose address is the one that was checked', async () => {
    dns.answer('stays.test', [PUBLIC])
    const before = [dns.asked.length, connections] as const
    expect(await importFrom(`http://stays.test:${port}/disk.raw`)).toBe('succeeded, 0 reached')
    const [asked, connected] = [dns.asked.length - before[0], connections - before[1]]
    expect(connected).toBeGreaterThan(0)
    // And once by the request, which is refused at once if the name is not allowed.
    expect(asked).toBe(connected + 1)
    // Whenever it changes its answer, the next connection is refused before it is made.
    for (let count = 0; count <= asked; count++) {
      dns.answer('rebind.test', ...Array.from({ length: count }, () => [PUBLIC]), [PRIVATE])
      const outcome = count === asked ? 'succeeded' : 'source-not-allowed'
      expect([count, await importFrom(`http://rebind.test:${port}/disk.raw`)]).toEqual([count, `${outcome}, 0 reached`])
    }
  })

  dnsTest('while an import is cut has its new answer checked before the import continues', async () => {
    dns.answer('stays.test', [PUBLIC])
    const before = [dns.asked.length, connections] as const
    expect(await importFrom(`http://stays.test:${port}/disk.raw`)).toBe('succeeded, 0 reached')
    const whole = Array.from({ length: dns.asked.length - before[0] }, () => [PUBLIC])
    // The last connection reads the content.
    const last = connections - before[1]
    answersToCut = last
    dns.answer('rebind.test', ...whole, [PRIVATE])
    expect(await importFrom(`http://rebind.test:${port}/disk.raw`)).toBe('source-not-allowed, 0 reached')
    answersToCut = last
    dns.answer('rebind.test', ...whole, [PUBLIC])
    expect(await importFrom(`http://rebind.test:${port}/disk.raw`)).toBe('succeeded, 0 reached')
    expect(cuts).toBe(2)
  })

  dnsTest('between two hosts of a redirect has both checked', async () => {
    dns.answer('first.test', [PUBLIC])
    dns.answer('second.test', [PRIVATE], [PUBLIC])
    target = `http://second.test:${port}/disk.raw`
    expect(await importFrom(`http://first.test:${port}/redirect`)).toBe('source-not-allowed, 0 reached')
    // A redirect to the same name is a look-up of its own.
    target = `http://first.test:${port}/disk.raw`
    dns.answer('first.test', [PUBLIC], [PRIVATE])
    expect(await importFrom(`http://first.test:${port}/redirect`)).toBe('source-not-allowed, 0 reached')
    dns.answer('first.test', [PUBLIC])
    expect(await importFrom(`http://first.test:${port}/redirect`)).toBe('succeeded, 0 reached')
  })
})

describe('a name', () => {
  const answers: [string, readonly string[], string][] = [
    ['of the private server', [PRIVATE], 'source-not-allowed'],
    ['of both servers', [PUBLIC, PRIVATE], 'source-not-allowed'],
    ['of the private server as an IPv6 address', ['0:0:0:0:0:0:0:1'], 'source-not-allowed'],
    ['of the private server, mapped to IPv6', ['0:0:0:0:0:ffff:7f00:1'], 'source-not-allowed'],
    ['of the public server, and of the private one mapped to IPv6', [PUBLIC, '0:0:0:0:0:ffff:7f00:1'], 'source-not-allowed'],
    ['of the private server, behind NAT64', ['64:ff9b:0:0:0:0:7f00:1'], 'source-not-allowed'],
    ['of the metadata service', ['169.254.169.254'], 'source-not-allowed'],
    ['of no network', ['0.0.0.0'], 'source-not-allowed'],
    ['of the public server', [PUBLIC], 'succeeded'],
  ]
  for (const [what, addresses, outcome] of answers)
    dnsTest(`${what}: ${outcome}`, async () => {
      dns.answer('named.test', addresses)
      expect(await importFrom(`http://named.test:${port}/disk.raw`)).toBe(`${outcome}, 0 reached`)
    })
})

describe('a redirect to the private server', () => {
  for (const host of [
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::1]',
    'localhost',
    'private.test',
  ])
    dnsTest(`as ${host} is refused, and so is the address itself`, async () => {
      dns.answer('private.test', [PRIVATE])
      dns.answer('public.test', [PUBLIC])
      target = `http://${host}:${port}/`
      expect(await importFrom(`http://public.test:${port}/redirect`)).toBe('source-not-allowed, 0 reached')
      expect(await importFrom(target)).toBe('source-not-allowed, 0 reached')
    })
})
