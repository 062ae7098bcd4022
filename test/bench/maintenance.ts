// Bench `gc`: the time of cleanup and verification, compared with verification by the peers.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { comparison, figure, median } from './figure.ts'
import { folderUsage, numberOf, removeFolder, run, timed } from './measure.ts'

const MB = 1e6

/** Measures verification of everything, compared with borg and restic, then gc after images were removed. */
export async function benchGc(context: BenchContext): Promise<Figure[]> {
  const figures: Figure[] = []
  const contestants = [context.ours, ...context.peers.filter(({ verify }) => verify !== undefined)]
  const seconds = new Map(contestants.map(({ name }) => [name, [] as number[]]))
  for (const contestant of contestants) {
    const folder = join(context.folder, contestant.name)
    removeFolder(folder)
    mkdirSync(folder, { recursive: true })
    await contestant.prepare(folder)
    for (const [image, file] of Object.entries(context.family)) await run(contestant.ingest(folder, image, file))
  }
  let scrubbed = 0
  for (let i = 0; i < context.runs; i++) {
    for (const contestant of contestants) {
      const command = contestant.verify?.(join(context.folder, contestant.name))
      if (!command) continue
      const taken = await timed(command, context.folder)
      seconds.get(contestant.name)?.push(taken.seconds)
      context.say(`run ${i + 1} ${contestant.name} verifies: ${taken.seconds.toFixed(2)} s`)
      if (contestant === context.ours) scrubbed = numberOf(taken.output, 'bytes')
    }
  }
  const ours = median(seconds.get(context.ours.name) ?? [])
  for (const [name, theirs] of seconds)
    if (name !== context.ours.name) figures.push(comparison('gc', 'all stored bytes verified', ours, 's', name, median(theirs)))
  figures.push(figure('gc', 'scrub, stored bytes', scrubbed / MB / ours, 'MB/s'))

  const folder = join(context.folder, context.ours.name)
  const store = context.ours.stored(folder)
  const program = (...words: string[]): ReturnType<typeof timed> => timed(context.program(...words), folder)
  await program('ingest', store, 'random', await context.randomFile('random.bin', context.randomBytes))
  const before = folderUsage(store).fileBytes
  for (const image of ['v1', 'v2a', 'random']) await program('remove', store, image)
  const collected = await program('gc', store)
  figures.push(
    figure('gc', 'gc after v1, v2a and random bytes are removed', numberOf(collected.output, 'seconds'), 's'),
    figure('gc', 'gc, bytes it says it freed', numberOf(collected.output, 'freedBytes') / MB, 'MB'),
    figure('gc', 'gc, bytes that files became shorter', (before - folderUsage(store).fileBytes) / MB, 'MB'),
  )
  for (const contestant of contestants) removeFolder(join(context.folder, contestant.name))
  return figures
}
