// Bench `tus`: the same files by the same client (curl, one PATCH) to our agent, to tusd, and to @tus/server with its FileStore
// on Bun and on Node. Each time ends when the last response has arrived and `sync -f` of the server's folder has returned.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../support/images/small-image.ts'
import { buildTusd, startTusd } from '../support/clients/tusd.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { createUpload, curlPatch, startBenchAgent } from './agent-load.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median, quantile } from './figure.ts'
import { idle, removeFolder, timed, warm } from './measure.ts'

const MB = 1e6
const MIB = 1024 * 1024
const PARTITION_BYTES = 2048 * MIB
const CLIENTS = 8
const HEAD_EVERY_MS = 10

/** A server of tus uploads in a process of its own. */
export interface TusServer extends AsyncDisposable {
  readonly endpoint: string
  readonly folder: string
  readonly headers: Readonly<Record<string, string>>
  readonly pid: number
}

export interface TusContestant {
  readonly name: string
  start(folder: string): Promise<TusServer>
}

/** Uploads one after the other, or eight in parallel, to an empty server. */
interface Round {
  readonly isWatched: boolean
  readonly cases: readonly { readonly name: string; readonly files: readonly string[] }[]
}

/** Splits a file into parts of the same length; returns their paths. */
export async function partsOf(folder: string, name: string, file: string, count: number): Promise<string[]> {
  const length = Math.ceil(statSync(file).size / count)
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${name}-${i}.part`))
  // Through memory, because Bun 1.4.5 copies the whole file when it should write a part of one file to another.
  for (const [i, path] of paths.entries())
    await Bun.write(
      path,
      await Bun.file(file)
        .slice(i * length, (i + 1) * length)
        .arrayBuffer(),
    )
  return paths
}

/** Plans the image, its second version, and random bytes from one client, and in eighths from eight; with --large also one disk of 8 GiB. */
async function planRounds(context: BenchContext): Promise<readonly Round[]> {
  const { family, folder, randomBytes } = context
  const random = await context.randomFile('random.bin', randomBytes)
  const large = context.isLarge ? [{ isWatched: false, cases: [{ name: 'a disk of 8 GiB', files: [await makeLargeDisk(context, random)] }] }] : []
  return [
    {
      isWatched: false,
      cases: [
        { name: 'v1', files: [family.v1] },
        { name: 'v2a after v1', files: [family.v2a] },
        { name: 'v2b after both', files: [family.v2b] },
        { name: 'random bytes', files: [random] },
      ],
    },
    {
      isWatched: true,
      cases: [
        { name: `v1 by ${CLIENTS} clients`, files: await partsOf(folder, 'v1', family.v1, CLIENTS) },
        { name: `v2a after v1 by ${CLIENTS} clients`, files: await partsOf(folder, 'v2a', family.v2a, CLIENTS) },
        { name: `random bytes by ${CLIENTS} clients`, files: await partsOf(folder, 'random', random, CLIENTS) },
      ],
    },
    ...large,
  ]
}

/** Creates a disk with the three images and the random bytes in four partitions, sparse where they are. */
async function makeLargeDisk({ family, folder }: BenchContext, random: string): Promise<string> {
  const path = join(folder, 'large.raw')
  await run('truncate', '-s', String(4 * PARTITION_BYTES), path)
  for (const [i, part] of [family.v1, family.v2a, family.v2b, random].entries())
    await run('dd', `if=${part}`, `of=${path}`, 'bs=1M', `seek=${(i * PARTITION_BYTES) / MIB}`, 'conv=notrunc,sparse', 'status=none')
  return path
}

export async function benchTus(context: BenchContext): Promise<Figure[]> {
  const contestants = [slipway(), ...(await tusd(context)), onRuntime('@tus/server on Bun', process.execPath), ...node()]
  const rounds = await planRounds(context)
  const names = rounds.flatMap(({ cases }) => cases.map(({ name }) => name))
  const rates = new Map(contestants.map(({ name }) => [name, new Map(names.map((one) => [one, [] as number[]]))]))
  const heads: number[] = []
  const residents: number[] = []
  for (let i = 0; i < context.runs; i++) {
    for (const { isWatched, cases } of rounds) {
      for (const contestant of contestants) {
        const folder = join(context.folder, 'tus')
        removeFolder(folder)
        mkdirSync(folder, { recursive: true })
        await using server = await contestant.start(folder)
        const isOurs = contestant.name === 'slipway'
        for (const { name, files } of cases) {
          for (const file of files) await warm(file)
          // After its upload an image is inspected and read back for its digest.
          await idle(server.pid)
          const watch = isOurs && isWatched ? await watchHead(server, heads) : undefined
          const seconds = await upload(server, files)
          await watch?.()
          const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
          rates
            .get(contestant.name)
            ?.get(name)
            ?.push(bytes / MB / seconds)
          context.say(`run ${i + 1} ${contestant.name} ${name}: ${seconds.toFixed(2)} s`)
        }
        if (isOurs && isWatched) residents.push(residentBytesMax(server.pid) / MB)
      }
    }
    removeFolder(join(context.folder, 'tus'))
  }
  const rate = (contestant: string, name: string): number => median(rates.get(contestant)?.get(name) ?? [])
  const peers = contestants.slice(1).map(({ name }) => name)
  return [
    ...names.flatMap((name) => peers.map((peer) => comparison('tus', name, rate('slipway', name), 'MB/s', peer, rate(peer, name)))),
    figure('tus', `HEAD while ${CLIENTS} uploads run, p99`, quantile(heads, 0.99), 'ms'),
    figure('tus', `resident memory with ${CLIENTS} uploads, at most`, median(residents), 'MB'),
  ]
}

/** Sends all files in parallel; returns the seconds until everything is durable. */
async function upload(server: TusServer, files: readonly string[]): Promise<number> {
  const addresses = await Promise.all(files.map((file, i) => createUpload(server.endpoint, statSync(file).size, `bench-${i}`, server.headers)))
  const startedMs = performance.now()
  await Promise.all(addresses.map((address, i) => timed(curlPatch(address, files[i] ?? '', server.headers), server.folder)))
  return (performance.now() - startedMs) / 1000
}

/** Repeatedly requests the offset of one more upload until the returned function is called. */
async function watchHead(server: TusServer, times: number[]): Promise<() => Promise<void>> {
  const address = await createUpload(server.endpoint, MB, 'watched', server.headers)
  let isOver = false
  const asking = (async () => {
    while (!isOver) {
      const sentMs = performance.now()
      await (await fetch(address, { method: 'HEAD', headers: { ...server.headers, 'tus-resumable': '1.0.0' } })).arrayBuffer()
      times.push(performance.now() - sentMs)
      await Bun.sleep(HEAD_EVERY_MS)
    }
  })()
  return async () => {
    isOver = true
    await asking
  }
}

function slipway(): TusContestant {
  return {
    name: 'slipway',
    async start(folder) {
      const agent = await startBenchAgent(folder)
      return { endpoint: `${agent.url}/v1/uploads`, folder, headers: agent.headers(), pid: agent.pid, [Symbol.asyncDispose]: () => agent.kill() }
    },
  }
}

/** Returns tusd, built from its Go module; empty when it cannot be built. */
export async function tusd(context: BenchContext): Promise<TusContestant[]> {
  const program = await buildTusd(context.say)
  if (program === undefined) return []
  return [
    {
      name: 'tusd',
      async start(folder) {
        const server = await startTusd(program, folder)
        return { endpoint: server.url, folder, headers: {}, pid: server.pid, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
      },
    },
  ]
}

function node(): TusContestant[] {
  const program = Bun.which('node')
  return program === null ? [] : [onRuntime('@tus/server on Node', program)]
}

function onRuntime(name: string, runtime: string): TusContestant {
  return { name, start: (folder) => launch([runtime, join(import.meta.dir, 'tus-node-server.mjs'), folder], folder) }
}

/** Starts a server and waits for its address, which is the first line of its output. */
async function launch(line: readonly string[], folder: string): Promise<TusServer> {
  const child = Bun.spawn([...line], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const told = Promise.withResolvers<string>()
  const reading = (async () => {
    let output = ''
    let isTold = false
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      // The later log of a server is read and discarded, so that its writes do not block.
      if (isTold) continue
      output += piece
      const found = /^(http\S+)\n/.exec(output)?.[1]
      isTold = found !== undefined
      if (found !== undefined) told.resolve(found)
    }
    told.reject(new Error(`${line.join(' ')} ended: ${output}`))
  })()
  const endpoint = await told.promise
  return {
    endpoint,
    folder,
    headers: {},
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
      await reading
    },
  }
}
