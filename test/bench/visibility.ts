// Bench `visibility`: the cost of deciding whether a caller may see a slice, in a store with many images of many slices. No slice is stored:
// only the index of manifests is measured.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isReadable, isServed } from '../../agent/access/readable.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { openVisibility } from '../../agent/visibility/visibility.ts'
import type { Visibility } from '../../agent/visibility/visibility.ts'
import { createMemoryLog } from '../support/memory/memory-log.ts'
import { createRandom } from '../support/properties.ts'
import { createMemoryImages } from '../support/images/visible-images.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, median } from './figure.ts'

/** Stores that are measured: images, and slices of each. */
const STORES: readonly (readonly [images: number, slices: number])[] = [
  [1, 3_000_000],
  [1000, 3000],
  [5000, 600],
]
/** Slices in one request. */
const ASKED = 4096
const VIEWER = { name: 'bench', role: 'viewer' } as const

export async function benchVisibility(context: BenchContext): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [images, slices] of STORES) figures.push(...(await measureStore(context, images, slices)))
  return figures
}

async function measureStore(context: BenchContext, imageCount: number, slicesEach: number): Promise<Figure[]> {
  const folder = join(context.folder, 'visibility')
  rmSync(folder, { recursive: true, force: true })
  const images = createMemoryImages()
  const random = createRandom(1)
  const digests = (count: number): Uint8Array[] => {
    const bytes = random.bytes(32 * count)
    return Array.from({ length: count }, (_, i) => new Uint8Array(bytes.subarray(32 * i, 32 * i + 32)))
  }
  // Each image shares half of its slices with the previous one, as versions of one image do.
  let shared = digests(Math.floor(slicesEach / 2))
  const asked: Uint8Array[] = []
  for (let i = 0; i < imageCount; i++) {
    const own = digests(slicesEach - shared.length)
    await images.add(`img_${i}`, [...shared, ...own])
    asked.push(...own.slice(0, Math.ceil(ASKED / imageCount)))
    shared = own
  }
  asked.length = Math.min(asked.length, ASKED)
  const log = createMemoryLog()
  const open = () => openVisibility({ disk: createDisk(), clock: systemClock, log, folder, images, isReadable, isServed })
  const name = `${imageCount} images of ${slicesEach} slices`
  let visibility: Visibility = await open()
  const started = process.cpuUsage()
  const longestStep = watchSteps()
  visibility.start()
  await visibility.settled()
  const indexing = process.cpuUsage(started)
  const stepMs = longestStep()
  await visibility[Symbol.asyncDispose]()
  const openedMs = performance.now()
  visibility = await open()
  const openMs = performance.now() - openedMs
  const perDigest = async (list: readonly Uint8Array[]): Promise<number> => {
    const values: number[] = []
    for (let run = 0; run < 2 * context.runs + 1; run++) {
      const before = process.cpuUsage()
      await visibility.view(VIEWER).hidden(list)
      const { user, system } = process.cpuUsage(before)
      values.push((user + system) / 1e6 / list.length)
    }
    return median(values)
  }
  const visible = await perDigest(asked)
  const unknown = await perDigest(digests(ASKED))
  const viewed = process.cpuUsage()
  for (let i = 0; i < 100; i++) visibility.view(VIEWER).has(asked[0] ?? new Uint8Array(32))
  const view = process.cpuUsage(viewed)
  for (let i = 0; i < imageCount; i++) images.setStatus(`img_${i}`, 'deleted')
  const hidden = await perDigest(asked)
  const longestOfRequest = watchSteps()
  for (let i = 0; i < 4; i++) await visibility.view(VIEWER).hidden(asked)
  const requestStepMs = longestOfRequest()
  await visibility[Symbol.asyncDispose]()
  const rows = imageCount * slicesEach
  return [
    figure('visibility', `${name}: indexed and merged`, rows / ((indexing.user + indexing.system) / 1e6), 'rows/CPU s'),
    figure('visibility', `${name}: longest step of the event loop while they are`, stepMs, 'CPU ms'),
    figure('visibility', `${name}: start`, openMs, 'ms'),
    figure('visibility', `${name}: view of a caller`, (view.user + view.system) / 1e5, 'ms'),
    figure('visibility', `${name}: a visible slice`, visible * 1e6, 'CPU µs'),
    figure('visibility', `${name}: an unknown slice`, unknown * 1e6, 'CPU µs'),
    figure('visibility', `${name}: a hidden slice`, hidden * 1e6, 'CPU µs'),
    figure('visibility', `${name}: longest step while 4096 hidden ones are asked for`, requestStepMs, 'CPU ms'),
  ]
}

/** Watches the event loop until the returned function is called, which returns the longest CPU time between two iterations, in milliseconds. */
function watchSteps(): () => number {
  let last = process.cpuUsage()
  let longest = 0
  const look = (): void => {
    const { user, system } = process.cpuUsage(last)
    longest = Math.max(longest, (user + system) / 1000)
    last = process.cpuUsage()
  }
  const timer = setInterval(look, 1)
  return () => {
    clearInterval(timer)
    look()
    return longest
  }
}
