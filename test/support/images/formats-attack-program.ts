// Inspects one of the most expensive images that the checks allow, and prints what that cost. It runs in a process of its own, so that its memory is
// not that of the test runner. The collector runs when the engine wants it to: garbage that an inspection leaves counts as its growth. With `held`, it
// also runs every few reads, and what is left then is counted.
//
//   bun formats-attack-program.ts <name> [held]

import { inspectImage } from '../../../agent/images/formats/inspection.ts'
import type { ImageBytes } from '../../../agent/images/formats/probe.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { monitorLoop } from '../agents/loop-stretches.ts'
import { residentBytesMax, resetResidentBytesMax } from '../agents/resident-memory.ts'
import { HOSTILE_IMAGES, smallImages } from './hostile-images.ts'

/** What an inspection cost. */
export interface AttackCost {
  readonly outcome: string
  /** Most resident memory beyond that before the inspection. */
  readonly growthBytes: number
  /** Most memory that is left by a collection beyond that before the inspection; 0 without `held`. */
  readonly heldBytes: number
  readonly cpuMs: number
  /** Longest time without the event loop, in CPU time. */
  readonly longestMs: number
  readonly reads: number
  readonly readBytes: number
}

/** Reads between two collections. */
const READS_PER_COLLECTION = 16_384

async function attack(name: string, isHeldCounted: boolean): Promise<AttackCost> {
  const image = HOSTILE_IMAGES[name]?.()
  if (!image) throw new Error(`there is no attack "${name}"`)
  let reads = 0
  let readBytes = 0
  let heldMax = 0
  const counted: ImageBytes = {
    length: image.length,
    readInto(offset, buffer) {
      reads++
      readBytes += buffer.byteLength
      if (isHeldCounted && reads % READS_PER_COLLECTION === 0) heldMax = Math.max(heldMax, heldBytes())
      return image.readInto(offset, buffer)
    },
  }
  // The code of every detector is loaded and compiled before: it is no memory of an image.
  for (const small of smallImages()) for (let i = 0; i < 200; i++) await inspectImage(small, null, { clock: systemClock })
  const heldBefore = heldBytes()
  resetResidentBytesMax(process.pid)
  const before = residentBytesMax(process.pid)
  const cpuBefore = process.cpuUsage()
  const loop = monitorLoop()
  const inspection = await inspectImage(counted, null, { clock: systemClock })
  const { longestMs } = loop.stop()
  const { user } = process.cpuUsage(cpuBefore)
  const outcome = inspection.kind === 'refused' ? inspection.reason : `accepted ${inspection.format}`
  const growthBytes = residentBytesMax(process.pid) - before
  return { outcome, growthBytes, heldBytes: Math.max(0, heldMax - heldBefore), cpuMs: user / 1000, longestMs, reads, readBytes }
}

function heldBytes(): number {
  Bun.gc(true)
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

console.log(JSON.stringify(await attack(process.argv[2] ?? '', process.argv[3] === 'held')))
