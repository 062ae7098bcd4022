// Bench `http`: an image through the agent's HTTP upload, compared with borg and restic on the file itself; small random reads; and the
// latency of health while the agent does everything at once.

import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { createRandom } from '../support/properties.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { available, startBenchAgent, succeeded, uploadByCurl } from './agent-load.ts'
import type { BenchContext } from './context.ts'
import type { Contestant } from './contestants.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median, quantile } from './figure.ts'
import { idle, removeFolder, timed, warm } from './measure.ts'

const MB = 1e6
const BLOCK_BYTES = 4096
const READS = 8000
const READERS = 16
const HEALTH_EVERY_MS = 10

export async function benchHttp(context: BenchContext): Promise<Figure[]> {
  const { v1, v2b } = context.family
  const times = new Map<string, { v1: number[]; v2b: number[] }>()
  const keep = (name: string, version: 'v1' | 'v2b', seconds: number): void => {
    const own = times.get(name) ?? { v1: [], v2b: [] }
    own[version].push(seconds)
    times.set(name, own)
    context.say(`${name} ${version}: ${seconds.toFixed(2)} s`)
  }
  const figures: Figure[] = []
  for (let i = 0; i < context.runs; i++) {
    const folder = join(context.folder, 'agent')
    await using agent = await startBenchAgent(folder)
    await warm(v1)
    const first = await uploadByCurl(agent, v1, 'v1')
    keep('slipway', 'v1', first.seconds)
    // Work on an image after its upload does not count as part of the upload.
    await available(agent, first.id)
    await idle(agent.pid)
    await warm(v2b)
    const second = await uploadByCurl(agent, v2b, 'v2b')
    keep('slipway', 'v2b', second.seconds)
    if (i === context.runs - 1) {
      await available(agent, second.id)
      await idle(agent.pid)
      figures.push(...(await randomReads(agent, first.id, v1)), ...(await healthUnderLoad(context, agent)))
      figures.push(figure('http', 'resident memory of the agent at most', residentBytesMax(agent.pid) / MB, 'MB'))
    }
    await agent.kill()
    removeFolder(folder)
    for (const peer of context.peers) await takeBoth(context, peer, (version, seconds) => keep(peer.name, version, seconds))
  }
  const ours = times.get('slipway') ?? { v1: [], v2b: [] }
  const versions = ['v1', 'v2b'] as const
  const uploads = versions.flatMap((version) =>
    context.peers.map(({ name }) =>
      comparison('http', `${version === 'v1' ? 'v1' : 'v1, v2b'} by curl`, median(ours[version]), 's', name, median(times.get(name)?.[version] ?? [])),
    ),
  )
  return [...uploads, ...figures]
}

async function takeBoth(context: BenchContext, peer: Contestant, keep: (version: 'v1' | 'v2b', seconds: number) => void): Promise<void> {
  const folder = join(context.folder, peer.name)
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await peer.prepare(folder)
  for (const version of ['v1', 'v2b'] as const) {
    const file = context.family[version]
    await warm(file)
    keep(version, (await timed(peer.ingest(folder, version, file), folder)).seconds)
  }
  removeFolder(folder)
}

/** Measures reads of one block by Range, at offsets without zeros, READERS at a time. */
async function randomReads(agent: AgentProcess, id: string, file: string): Promise<Figure[]> {
  const offsets = await fullBlocks(file, READS)
  const times: number[] = []
  const headers = agent.headers()
  const startedMs = performance.now()
  const reader = async (): Promise<void> => {
    for (let offset = offsets.pop(); offset !== undefined; offset = offsets.pop()) {
      const sentMs = performance.now()
      const response = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: { ...headers, range: `bytes=${offset}-${offset + BLOCK_BYTES - 1}` } })
      const bytes = await response.arrayBuffer()
      if (response.status !== 206 || bytes.byteLength !== BLOCK_BYTES) throw new Error(`a Range got ${response.status} with ${bytes.byteLength} bytes`)
      times.push(performance.now() - sentMs)
    }
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  const seconds = (performance.now() - startedMs) / 1000
  const what = `4 KiB random reads, ${READERS} at once`
  return [
    figure('http', `${what}, p50`, quantile(times, 0.5), 'ms'),
    figure('http', `${what}, p99`, quantile(times, 0.99), 'ms'),
    figure('http', `${what}, rate`, READS / seconds, 'requests/s'),
  ]
}

/** Returns offsets of blocks that are not zero, the same in every run. */
async function fullBlocks(path: string, count: number): Promise<number[]> {
  await using file = await open(path)
  const blocks = Math.floor((await file.stat()).size / BLOCK_BYTES)
  const random = createRandom(1)
  const block = Buffer.alloc(BLOCK_BYTES)
  const offsets: number[] = []
  while (offsets.length < count) {
    const offset = random.below(blocks) * BLOCK_BYTES
    await file.read(block, 0, BLOCK_BYTES, offset)
    if (block.some((byte) => byte !== 0)) offsets.push(offset)
  }
  return offsets
}

/** Measures health while a new image of random bytes and v1 again are uploaded, and gc and scrub run. */
async function healthUnderLoad(context: BenchContext, agent: AgentProcess): Promise<Figure[]> {
  const random = await context.randomFile('random.bin', context.randomBytes)
  const times: number[] = []
  let isOver = false
  const asking = (async () => {
    while (!isOver) {
      const sentMs = performance.now()
      const response = await fetch(`${agent.url}/v1/health`)
      await response.arrayBuffer()
      times.push(performance.now() - sentMs)
      await Bun.sleep(HEALTH_EVERY_MS)
    }
  })()
  const scrub = agent.client.schedules.run('scrub')
  const uploads = [uploadByCurl(agent, random, 'random'), uploadByCurl(agent, context.family.v2a, 'v2a')]
  const collect = async (): Promise<void> => succeeded(agent, await agent.client.store.cleanup())
  await Promise.all([...uploads, collect(), scrub.then(() => undefined)])
  await collect()
  isOver = true
  await asking
  context.say(`health was requested ${times.length} times`)
  return [
    figure('http', 'health during two uploads, gc and scrub, p50', quantile(times, 0.5), 'ms'),
    figure('http', 'health during two uploads, gc and scrub, p99', quantile(times, 0.99), 'ms'),
  ]
}
