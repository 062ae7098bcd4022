// Bench `read`: reads every byte of an image in order, verified, compared with the peers.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchContext } from './context.ts'
import { canRead } from './contestants.ts'
import { benchFragmentation } from './fragmentation.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median } from './figure.ts'
import { dropCaches, numberOf, removeFolder, run, timed, warm } from './measure.ts'

const MB = 1e6

/** Measures sequential reads of v1 by all contestants, warm and cold. */
export async function benchRead(context: BenchContext): Promise<Figure[]> {
  const peers = context.peers.filter(canRead)
  const contestants = [context.ours, ...peers]
  const image = context.family.v1
  for (const contestant of contestants) {
    const folder = join(context.folder, contestant.name)
    removeFolder(folder)
    mkdirSync(folder, { recursive: true })
    await contestant.prepare(folder)
    await run(contestant.ingest(folder, 'v1', image))
  }
  await warm(image)
  const seconds = new Map(contestants.map(({ name }) => [name, [] as number[]]))
  const rates: number[] = []
  const residents: number[] = []
  for (let i = 0; i < context.runs; i++) {
    for (const contestant of contestants) {
      if (i > 0 && contestant.isSlow) continue
      const folder = join(context.folder, contestant.name)
      const taken = await timed(contestant.read(folder, 'v1', image), folder, { keepOutput: contestant === context.ours })
      seconds.get(contestant.name)?.push(taken.seconds)
      context.say(`run ${i + 1} ${contestant.name}: ${taken.seconds.toFixed(2)} s, ${taken.cpuSeconds.toFixed(2)} CPU s`)
      if (contestant !== context.ours) continue
      rates.push(rateOf(taken.output))
      residents.push(taken.residentBytesMax / MB)
    }
  }
  const ours = median(seconds.get(context.ours.name) ?? [])
  const figures = peers.map((peer) => comparison('read', 'v1 whole, with start of the program', ours, 's', peer.name, median(seconds.get(peer.name) ?? [])))
  figures.push(figure('read', 'v1 whole, non-zero bytes', median(rates), 'MB/s'), figure('read', 'v1 whole, resident memory at most', median(residents), 'MB'))
  if (await dropCaches()) {
    const folder = join(context.folder, context.ours.name)
    const { output } = await timed(context.ours.read(folder, 'v1', image), folder)
    figures.push(figure('read', 'v1 whole, non-zero bytes, cold', rateOf(output), 'MB/s'))
  }
  for (const contestant of contestants) removeFolder(join(context.folder, contestant.name))
  return [...figures, ...(await benchFragmentation(context))]
}

function rateOf(output: string): number {
  return numberOf(output, 'nonZeroBytes') / MB / numberOf(output, 'seconds')
}
