// Bench `gateway`: the same upload straight to an agent and through the gateway of a service, by curl in one PATCH, in turns; and how much memory the service takes for
// each upload when its clients are fast and the agent is slow.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openTestBot } from '../bot/fixture.ts'
import { TEST_ADMIN_TOKEN } from '../support/agents/agent-process.ts'
import { startBotProcess } from '../support/agents/bot-process.ts'
import { residentBytesMax, resetResidentBytesMax } from '../support/agents/resident-memory.ts'
import { createCuttingProxy } from '../support/clients/cutting-proxy.ts'
import { makeNoiseFile } from '../support/images/noise-file.ts'
import { until } from '../support/until.ts'
import { createUpload, curlPatch, startBenchAgent } from './agent-load.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median } from './figure.ts'
import { idle, removeFolder, timed, warm } from './measure.ts'

const MB = 1e6
const MIB = 1024 * 1024
/** Uploads on each way; the first is not counted. */
const RUNS = 6
const LENGTH = 128 * MIB
/** Uploads at the same time with a slow agent, what each offers, and what the line to the agent carries of all together in a second. */
const SLOW_UPLOADS = 16
const OFFERED = 1024 * MIB
const SLOW_RATE = 8 * MIB
/** Bytes of all slow uploads that arrive at the agent before the memory is read. */
const SLOW_ARRIVED = 48 * MIB

/** Measures the gateway. */
export async function benchGateway(): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-gateway-'))
  stack.defer(() => removeFolder(folder))
  const agent = stack.use(await startBenchAgent(join(folder, 'agent'), SLOW_UPLOADS))
  const line = stack.use(await createCuttingProxy(Number(new URL(agent.url).port)))
  const home = join(folder, 'home')
  mkdirSync(home)
  const bot = stack.use(openTestBot(home))
  for (const [name, url] of [['near', agent.url] as const, ['slow', line.url] as const])
    bot.fleet.registry.add({ name, url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const service = stack.use(await startBotProcess(home))
  /** Creates an upload and returns its address on each way. */
  const begin = async (store: string, length: number): Promise<Record<Way, string>> => {
    const link = await agent.client.links.create({ kind: 'upload', name: `bench-${crypto.randomUUID()}` })
    const page = service.url + bot.uploadPages.add({ store, ...link })
    const gateway = await createUpload(`${page}/files`, length, 'x', {})
    return { gateway, direct: `${agent.url}/v1/uploads/${gateway.split('/').at(-1)}${new URL(link.url).search}` }
  }

  const seconds: Record<Way, number[]> = { direct: [], gateway: [] }
  for (let i = 0; i < 2 * RUNS; i++) {
    const way: Way = i % 2 === 0 ? 'direct' : 'gateway'
    const file = join(folder, 'file')
    // No piece is like one of another file.
    await makeNoiseFile(file, LENGTH, 1000 * (i + 1))
    await warm(file)
    await idle(agent.pid)
    const address = (await begin('near', LENGTH))[way]
    const run = await timed(curlPatch(address, file, {}), agent.folder)
    if (i >= 2) seconds[way].push(run.seconds)
    rmSync(file)
  }
  const rate = (way: Way): number => LENGTH / MB / median(seconds[way])

  line.setFaults({ bytesPerSecond: SLOW_RATE, isShared: true })
  await idle(service.pid)
  resetResidentBytesMax(service.pid)
  const before = residentBytesMax(service.pid)
  const arrived = line.bytes.up
  const senders: Socket[] = []
  stack.defer(() => senders.forEach((sender) => sender.destroy()))
  for (let i = 0; i < SLOW_UPLOADS; i++) senders.push(sendEndless((await begin('slow', OFFERED)).gateway))
  await until('bytes have arrived at the slow agent', () => line.bytes.up - arrived >= SLOW_ARRIVED, 120_000)
  return [
    comparison('gateway', 'rate of one upload', rate('gateway'), 'MB/s', 'direct', rate('direct')),
    figure(
      'gateway',
      `memory of the service for each of ${SLOW_UPLOADS} uploads to a slow agent`,
      (residentBytesMax(service.pid) - before) / SLOW_UPLOADS / MB,
      'MB',
    ),
  ]
}

type Way = 'direct' | 'gateway'

/** Sends bytes to an upload as fast as they are taken. */
function sendEndless(address: string): Socket {
  const { hostname, port, pathname } = new URL(address)
  const socket = connect(Number(port), hostname)
  const piece = new Uint8Array(256 * 1024).fill(7)
  const lines = [`PATCH ${pathname} HTTP/1.1`, `Host: ${hostname}`, `Content-Length: ${OFFERED}`, 'Tus-Resumable: 1.0.0', 'Upload-Offset: 0']
  socket.write([...lines, 'Content-Type: application/offset+octet-stream', '', ''].join('\r\n'))
  const fill = (): void => {
    while (socket.write(piece));
  }
  socket
    .on('error', () => {})
    .on('drain', fill)
    .once('connect', fill)
  return socket
}
