// Benches `ingest` and `dedup`: store the image family, random bytes and known bytes in every contestant, in turns.

import { cpSync, linkSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { qcowFamily } from '../support/images/image-family.ts'
import type { BenchContext } from './context.ts'
import type { Contestant } from './contestants.ts'
import type { Figure, Unit } from './figure.ts'
import { comparison, figure, median } from './figure.ts'
import { folderUsage, removeFolder, run, timed, warm } from './measure.ts'

const MB = 1e6

/** Samples of one contestant by case name. */
class Samples {
  readonly #values = new Map<string, number[]>()

  add(name: string, value: number): void {
    const values = this.#values.get(name)
    if (values) values.push(value)
    else this.#values.set(name, [value])
  }

  get names(): string[] {
    return [...this.#values.keys()]
  }

  median(name: string): number | undefined {
    const values = this.#values.get(name)
    return values && median(values)
  }
}

/** Measures the times of every case: v1 into an empty store; v2a and v2b into one that has v1; v2b after both; random and known bytes. */
export async function benchIngest(context: BenchContext): Promise<Figure[]> {
  const { times, cpu } = await measureOnce(context)
  return [...figuresOf('ingest', times, 's', ''), ...figuresOf('ingest', cpu, 'CPU s', '')]
}

/** Measures the stored bytes after each version: lengths of all files, and disk blocks of files and folders. */
export async function benchDedup(context: BenchContext): Promise<Figure[]> {
  const { files, blocks } = await measureOnce(context)
  const added = await measureVariants(context)
  return [
    ...figuresOf('dedup', files, 'MB', 'files after '),
    ...figuresOf('dedup', blocks, 'MB', 'disk blocks after '),
    ...figuresOf('dedup', added, 'MB', 'added by '),
  ]
}

/** Samples by contestant. */
interface Measured {
  readonly times: ReadonlyMap<string, Samples>
  readonly cpu: ReadonlyMap<string, Samples>
  readonly files: ReadonlyMap<string, Samples>
  readonly blocks: ReadonlyMap<string, Samples>
}

const measured = new WeakMap<BenchContext, Promise<Measured>>()

/** Measures both benches in the same runs when both are requested. */
function measureOnce(context: BenchContext): Promise<Measured> {
  const known = measured.get(context) ?? measure(context)
  measured.set(context, known)
  return known
}

async function measure(context: BenchContext): Promise<Measured> {
  const contestants = [context.ours, ...context.peers]
  const samples = (): ReadonlyMap<string, Samples> => new Map(contestants.map(({ name }) => [name, new Samples()]))
  const all: Measured = { times: samples(), cpu: samples(), files: samples(), blocks: samples() }
  const random = await context.randomFile('random.bin', context.randomBytes)
  for (let i = 0; i < context.runs; i++) {
    for (const contestant of contestants) {
      if (i > 0 && contestant.isSlow) continue
      const folder = join(context.folder, contestant.name)
      const take = async (name: string, image: string, file: string): Promise<void> => {
        await warm(file)
        const { seconds, cpuSeconds } = await timed(contestant.ingest(folder, image, file), folder)
        const usage = folderUsage(contestant.stored(folder))
        all.times.get(contestant.name)?.add(name, seconds)
        all.cpu.get(contestant.name)?.add(name, cpuSeconds)
        all.files.get(contestant.name)?.add(name, usage.fileBytes / MB)
        all.blocks.get(contestant.name)?.add(name, usage.diskBytes / MB)
        context.say(`run ${i + 1} ${contestant.name} ${name}: ${seconds.toFixed(2)} s, ${cpuSeconds.toFixed(2)} CPU s`)
      }
      await takeFamily(context, contestant, folder, take)
      await takeRandom(contestant, folder, random, take)
      removeFolder(folder)
    }
  }
  return all
}

/** Measures what the same image adds as qcow2 to a store that has it as raw; skips slow contestants. */
async function measureVariants(context: BenchContext): Promise<ReadonlyMap<string, Samples>> {
  const qcow = await qcowFamily(context.say)
  const added = new Map<string, Samples>()
  for (const contestant of [context.ours, ...context.peers]) {
    if (contestant.isSlow) continue
    const folder = join(context.folder, contestant.name)
    const own = new Samples()
    added.set(contestant.name, own)
    await fresh(contestant, folder)
    await run(contestant.ingest(folder, 'v1', context.family.v1))
    for (const [name, file] of [
      ['v1 as qcow2', qcow.v1],
      ['v1 as compressed qcow2', qcow.v1Compressed],
    ] as const) {
      const before = folderUsage(contestant.stored(folder)).fileBytes
      await run(contestant.ingest(folder, name.replaceAll(' ', '-'), file))
      own.add(name, (folderUsage(contestant.stored(folder)).fileBytes - before) / MB)
    }
    removeFolder(folder)
  }
  return added
}

type Take = (name: string, image: string, file: string) => Promise<void>

async function takeFamily({ family }: BenchContext, contestant: Contestant, folder: string, take: Take): Promise<void> {
  const saved = `${folder}.saved`
  await fresh(contestant, folder)
  await take('v1', 'v1', family.v1)
  removeFolder(saved)
  cpSync(folder, saved, { recursive: true, preserveTimestamps: true })
  await take('v1, v2b', 'v2b', family.v2b)
  removeFolder(folder)
  renameSync(saved, folder)
  await take('v1, v2a', 'v2a', family.v2a)
  await take('v1, v2a, v2b', 'v2b', family.v2b)
}

async function takeRandom(contestant: Contestant, folder: string, random: string, take: Take): Promise<void> {
  await fresh(contestant, folder)
  await take('random bytes', 'first', random)
  // Under another name, so that no contestant recognizes the file by name and time.
  const again = join(folder, 'again.bin')
  linkSync(random, again)
  await take('known bytes', 'second', again)
}

async function fresh(contestant: Contestant, folder: string): Promise<void> {
  removeFolder(folder)
  mkdirSync(folder, { recursive: true })
  await contestant.prepare(folder)
}

/** Returns a comparison with every peer for each case, or figures alone without peers. */
function figuresOf(bench: string, samples: ReadonlyMap<string, Samples>, unit: Unit, prefix: string): Figure[] {
  const ours = samples.get('slipway')
  const figures: Figure[] = []
  for (const name of ours?.names ?? []) {
    const value = ours?.median(name) ?? NaN
    let isAlone = true
    for (const [peer, theirs] of samples) {
      const peerValue = peer === 'slipway' ? undefined : theirs.median(name)
      if (peerValue === undefined) continue
      figures.push(comparison(bench, `${prefix}${name}`, value, unit, peer, peerValue))
      isAlone = false
    }
    if (isAlone) figures.push(figure(bench, `${prefix}${name}`, value, unit))
  }
  return figures
}
