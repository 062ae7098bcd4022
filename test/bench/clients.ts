// Bench `clients`: v1 from one client and in eighths from eight, with upload-concurrency 1 and 8, compared with tusd. Time and CPU time of
// the server end with the last response and `sync -f`, as a client sees it. The later work of the agent for digests is counted separately.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createUpload, curlPatch, startBenchAgent } from './agent-load.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median } from './figure.ts'
import { cpuSecondsOf, idle, removeFolder, timed, warm } from './measure.ts'
import { partsOf, tusd } from './tus.ts'
import type { TusServer } from './tus.ts'

const MB = 1e6
const CLIENTS = 8
const CONCURRENCIES = [1, 8] as const

interface Taken {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly laterCpuSeconds: number
}

interface Case {
  readonly name: string
  readonly files: readonly string[]
  start(folder: string): Promise<TusServer>
}

export async function benchClients(context: BenchContext): Promise<Figure[]> {
  const { v1 } = context.family
  const eighths = await partsOf(context.folder, 'v1', v1, CLIENTS)
  const [peer] = await tusd(context)
  const cases: Case[] = CONCURRENCIES.flatMap((concurrency) => [
    { name: nameOf(1, concurrency), files: [v1], start: (folder) => slipway(folder, concurrency) },
    { name: nameOf(CLIENTS, concurrency), files: eighths, start: (folder) => slipway(folder, concurrency) },
  ])
  if (peer) {
    cases.push({ name: 'tusd 1', files: [v1], start: (folder) => peer.start(folder) })
    cases.push({ name: `tusd ${CLIENTS}`, files: eighths, start: (folder) => peer.start(folder) })
  }
  const taken = new Map<string, Taken[]>()
  for (let i = 0; i < context.runs; i++) {
    for (const one of cases) {
      const run = await measure(context, one)
      taken.set(one.name, [...(taken.get(one.name) ?? []), run])
      context.say(`run ${i + 1} ${one.name}: ${run.seconds.toFixed(2)} s, ${run.cpuSeconds.toFixed(2)} CPU s, ${run.laterCpuSeconds.toFixed(2)} CPU s later`)
    }
  }
  const middle = (name: string, member: keyof Taken): number => median((taken.get(name) ?? []).map((run) => run[member]))
  const bytes = statSync(v1).size
  return [
    ...CONCURRENCIES.flatMap((concurrency) => ratios(concurrency, middle)),
    ...(peer
      ? [comparison('clients', 'v1 by one', bytes / MB / middle(nameOf(1, 1), 'seconds'), 'MB/s', 'tusd', bytes / MB / middle('tusd 1', 'seconds'))]
      : []),
    ...(peer
      ? [
          comparison(
            'clients',
            'v1 by eight',
            bytes / MB / middle(nameOf(CLIENTS, CLIENTS), 'seconds'),
            'MB/s',
            'tusd',
            bytes / MB / middle('tusd 8', 'seconds'),
          ),
        ]
      : []),
  ]
}

function nameOf(clients: number, concurrency: number): string {
  return `${clients} with upload-concurrency ${concurrency}`
}

/** Returns time and CPU time of eight clients as multiples of those of one. */
function ratios(concurrency: number, middle: (name: string, member: keyof Taken) => number): Figure[] {
  const one = nameOf(1, concurrency)
  const eight = nameOf(CLIENTS, concurrency)
  return [
    figure('clients', `v1 by ${one}`, middle(one, 'seconds'), 's'),
    figure('clients', `v1 by ${one}`, middle(one, 'cpuSeconds'), 'CPU s'),
    figure('clients', `v1 by ${eight}`, middle(eight, 'seconds'), 's'),
    figure('clients', `v1 by ${eight}`, middle(eight, 'cpuSeconds'), 'CPU s'),
    figure('clients', `v1 by ${eight}, time as a multiple of one client's`, middle(eight, 'seconds') / middle(one, 'seconds'), 'share'),
    figure('clients', `v1 by ${eight}, CPU time as a multiple of one client's`, middle(eight, 'cpuSeconds') / middle(one, 'cpuSeconds'), 'share'),
    figure('clients', `v1 by ${eight}, after the last answer`, middle(eight, 'laterCpuSeconds'), 'CPU s'),
  ]
}

async function measure(context: BenchContext, { files, start }: Case): Promise<Taken> {
  const folder = join(context.folder, 'clients')
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await using server = await start(folder)
  for (const file of files) await warm(file)
  await idle(server.pid)
  const addresses = await Promise.all(files.map((file, i) => createUpload(server.endpoint, statSync(file).size, `bench-${i}`, server.headers)))
  const before = cpuSecondsOf(server.pid)
  const startedMs = performance.now()
  await Promise.all(addresses.map((address, i) => timed(curlPatch(address, files[i] ?? '', server.headers), server.folder)))
  const seconds = (performance.now() - startedMs) / 1000
  const cpuSeconds = cpuSecondsOf(server.pid) - before
  await idle(server.pid)
  const laterCpuSeconds = cpuSecondsOf(server.pid) - before - cpuSeconds
  return { seconds, cpuSeconds, laterCpuSeconds }
}

async function slipway(folder: string, concurrency: number): Promise<TusServer> {
  const agent = await startBenchAgent(folder, concurrency)
  return { endpoint: `${agent.url}/v1/uploads`, folder, headers: agent.headers(), pid: agent.pid, [Symbol.asyncDispose]: () => agent.kill() }
}
