// Bench `sync`: v1 to an empty target, then v2a, then v2b; directly, and through a proxy that is a slow line and counts the bytes of both
// directions. Each peer runs in turn with the same versions over the same lines.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { resetResidentBytesMax } from '../../support/agents/resident-memory.ts'
import type { BenchContext } from '../context.ts'
import type { Figure, Unit } from '../figure.ts'
import { comparison, figure, median } from '../figure.ts'
import { idle, removeFolder, warm } from '../measure.ts'
import { availablePeers } from './peers.ts'
import { treeCpuSeconds, treeOf, treeResidentBytesMax } from './process-tree.ts'
import type { Puller, Version } from './puller.ts'
import { TooSlow, VERSIONS } from './puller.ts'
import { startSlipway } from './slipway.ts'

const MB = 1e6
/** The slow line: each byte arrives this late, and both directions have this rate. */
const DELAY_MS = 50
const BYTES_PER_SECOND = 20e6
/** Round trips that a pull may need besides the time of its bytes. */
const ROUND_TRIPS = 2
/** After this time a pull is stopped: a peer that waits for each chunk needs half an hour for v1 on the slow line. */
const LIMIT_MS = 180_000

const LINES = ['direct', 'counted', 'slow'] as const
type LineName = (typeof LINES)[number]

/** What was measured of one puller, by `<line> <version> <what>`. */
type Samples = Map<string, number[]>

export async function benchSync(context: BenchContext): Promise<Figure[]> {
  const folder = join(context.folder, 'sync')
  mkdirSync(folder, { recursive: true })
  const lines = LINES.filter((line) => context.lines.length === 0 || context.lines.includes(line))
  await using stack = new AsyncDisposableStack()
  const pullers: Puller[] = [stack.use(await startSlipway(context.family, folder))]
  for (const peer of await availablePeers(context.peerNames, context.say)) pullers.push(stack.use(await peer.start(context.family, folder, context.say)))
  const taken = new Map(pullers.map(({ name }) => [name, new Map() as Samples]))
  for (let i = 0; i < context.runs; i++)
    for (const line of lines)
      for (const puller of pullers)
        await takeAll(context, puller, { line, folder: join(folder, 'target'), samples: taken.get(puller.name) ?? new Map(), isFirst: i === 0 })
  return figuresOf(taken, lines)
}

interface Round {
  readonly line: LineName
  readonly folder: string
  readonly samples: Samples
  readonly isFirst: boolean
}

/** Copies all versions to one new target over a line. */
async function takeAll(context: BenchContext, puller: Puller, { line, folder, samples, isFirst }: Round): Promise<void> {
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await using target = await puller.createTarget(folder)
  for (const version of VERSIONS) {
    await warm(context.family[version])
    for (const pid of treeOf(puller.pid)) resetResidentBytesMax(pid)
    await idle(puller.pid)
    const cpuBefore = treeCpuSeconds(puller.pid)
    await using proxy = line === 'direct' ? undefined : await createCuttingProxy(puller.port, faultsOf(line))
    let memory = 0
    const watching = setInterval(() => void (memory = Math.max(memory, treeResidentBytesMax(puller.pid))), 100)
    try {
      const { seconds, cpuSeconds, residentBytesMax } = await target.pull(version, proxy?.port ?? puller.port, LIMIT_MS)
      const values: Record<string, number> = {
        time: seconds,
        'CPU of the target': cpuSeconds,
        'memory of the target': residentBytesMax / MB,
        'CPU of the source': treeCpuSeconds(puller.pid) - cpuBefore,
        'memory of the source': Math.max(memory, treeResidentBytesMax(puller.pid)) / MB,
      }
      if (proxy) values['bytes'] = (proxy.bytes.up + proxy.bytes.down) / MB
      if (proxy) values['bytes to the source'] = proxy.bytes.up / MB
      if (line === 'slow') values['time, multiple of the line and two round trips'] = seconds / secondsOfLine(values['bytes'] ?? NaN)
      for (const [what, value] of Object.entries(values)) add(samples, `${line} ${version} ${what}`, value)
      context.say(
        `${line} ${puller.name} ${version}: ${Object.entries(values)
          .map(([what, value]) => `${what} ${value.toPrecision(3)}`)
          .join(', ')}`,
      )
    } catch (error) {
      if (!(error instanceof TooSlow)) throw error
      context.say(`${line} ${puller.name} ${version}: stopped after ${LIMIT_MS / 1000} s`)
      return
    } finally {
      clearInterval(watching)
    }
    if (isFirst && line === 'direct') await target.verify(version)
  }
}

function faultsOf(line: LineName): Parameters<typeof createCuttingProxy>[1] {
  return line === 'slow' ? { delayMs: DELAY_MS, bytesPerSecond: BYTES_PER_SECOND, isShared: true } : {}
}

/** Returns the seconds that these megabytes need on the slow line at least, and two round trips. */
function secondsOfLine(megabytes: number): number {
  return (megabytes * MB) / BYTES_PER_SECOND + (ROUND_TRIPS * 2 * DELAY_MS) / 1000
}

function add(samples: Samples, name: string, value: number): void {
  const values = samples.get(name)
  if (values) values.push(value)
  else samples.set(name, [value])
}

const UNITS: readonly (readonly [what: string, unit: Unit])[] = [
  ['time', 's'],
  ['bytes', 'MB'],
  ['bytes to the source', 'MB'],
  ['time, multiple of the line and two round trips', '×'],
  ['CPU of the target', 'CPU s'],
  ['CPU of the source', 'CPU s'],
  ['memory of the target', 'MB'],
  ['memory of the source', 'MB'],
]

function figuresOf(taken: ReadonlyMap<string, Samples>, lines: readonly LineName[]): Figure[] {
  const ours = taken.get('slipway')
  const value = (samples: Samples | undefined, name: string): number | undefined => {
    const values = samples?.get(name)
    return values && median(values)
  }
  return lines.flatMap((line) =>
    UNITS.flatMap(([what, unit]) =>
      VERSIONS.flatMap((version: Version) => {
        const name = `${line} ${version} ${what}`
        const own = value(ours, name)
        if (own === undefined) return []
        const label = `${version} ${line}, ${what}`
        const compared = [...taken].flatMap(([peer, samples]) => {
          const peerValue = peer === 'slipway' ? undefined : value(samples, name)
          return peerValue === undefined ? [] : [comparison('sync', label, own, unit, peer, peerValue)]
        })
        return compared.length > 0 ? compared : [figure('sync', label, own, unit)]
      }),
    ),
  )
}
