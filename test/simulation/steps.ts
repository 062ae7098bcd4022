// A script: steps that clients, operators and fate take, drawn from a seed. Steps name things by numbers, so that a script stays runnable when
// steps are left out of it.

import type { Random } from '../support/properties.ts'
import type { Stretch } from '../support/images/slice-model.ts'
import type { DiskFault } from './world/simulated-disk.ts'
import type { StateFate } from './world/simulated-agent.ts'

/** Plain bytes, with a checksum, slices, or slices with other bytes than their digests say. */
export type SendAs = 'bytes' | 'checksum' | 'slices' | 'lies'

export type Action =
  | { readonly op: 'create'; readonly slot: number; readonly agent: number; readonly content: readonly Stretch[]; readonly isPart: boolean }
  | { readonly op: 'send'; readonly slot: number; readonly bytes: number; readonly cutAt: number | null; readonly as: SendAs; readonly isDuringGc: boolean }
  | { readonly op: 'head' | 'peek' | 'cancel'; readonly slot: number }
  | { readonly op: 'concat'; readonly slot: number; readonly agent: number; readonly parts: readonly number[] }
  | { readonly op: 'read'; readonly image: number; readonly from: number; readonly to: number }
  | { readonly op: 'look' | 'delete' | 'purge' | 'restore' | 'restore-while-pruning'; readonly image: number }
  | { readonly op: 'sync'; readonly image: number; readonly to: number; readonly isDuringGc: boolean }
  | { readonly op: 'list' | 'tasks' | 'token' | 'untoken' | 'crash' | 'restart' | 'rot'; readonly agent: number }
  | { readonly op: 'cleanup' | 'scrub' | 'expire'; readonly agent: number }
  | { readonly op: 'power'; readonly agent: number; readonly state: StateFate }
  | { readonly op: 'fault'; readonly agent: number; readonly after: number; readonly fault: DiskFault }
  | { readonly op: 'lie'; readonly agent: number }
  | { readonly op: 'wait'; readonly ms: number }

/** An action, how many events run after it began, and whether its end is awaited first. */
export type Step = Action & { readonly id: number; readonly events: number; readonly isAwaited: boolean }

export const AGENTS = 2
export const SLOTS_MAX = 12

/** Draws a script of a length. */
export function drawSteps(random: Random, count: number): Step[] {
  const steps: Step[] = []
  let slots = 0
  const weights = ACTIONS.flatMap(([weight, draw]) => Array.from({ length: weight }, () => draw))
  for (let id = 1; id <= count; id++) {
    // A script begins with something to work on.
    const action = id <= 2 ? drawCreate(random, slots) : random.pick(weights)(random, slots)
    if (action.op === 'create' || action.op === 'concat') slots = Math.min(SLOTS_MAX, slots + 1)
    steps.push({ ...action, id, events: random.chance(0.3) ? random.below(200) : random.below(25), isAwaited: random.chance(0.45) })
  }
  return steps
}

type Draw = (random: Random, slots: number) => Action

const agentOf = (random: Random): number => random.below(AGENTS)
const slotOf = (random: Random, slots: number): number =>
  slots === 0 ? 0 : random.chance(0.6) ? Math.max(0, slots - 1 - random.below(2)) : random.below(slots)
const imageOf = (random: Random): number => random.below(8)

const drawCreate: Draw = (random, slots) => ({
  op: 'create',
  slot: slots < SLOTS_MAX ? slots : random.below(SLOTS_MAX),
  agent: agentOf(random),
  content: drawContent(random),
  isPart: random.chance(0.2),
})

const drawSend: Draw = (random, slots) => ({
  op: 'send',
  slot: slotOf(random, slots),
  bytes: random.chance(0.6) ? 1 << 20 : 1 + random.below(40_000),
  cutAt: random.chance(0.2) ? random.below(40_000) : null,
  as: random.pick(['bytes', 'bytes', 'bytes', 'bytes', 'bytes', 'bytes', 'slices', 'slices', 'checksum', 'lies'] as const),
  isDuringGc: random.chance(0.15),
})

/** What happens, and how often. */
const ACTIONS: readonly (readonly [number, Draw])[] = [
  [12, drawCreate],
  [36, drawSend],
  [6, (random, slots) => ({ op: 'head', slot: slotOf(random, slots) })],
  [6, (random, slots) => ({ op: 'peek', slot: slotOf(random, slots) })],
  [2, (random, slots) => ({ op: 'cancel', slot: slotOf(random, slots) })],
  [
    3,
    (random, slots) => ({
      op: 'concat',
      slot: slots < SLOTS_MAX ? slots : random.below(SLOTS_MAX),
      agent: agentOf(random),
      parts: [slotOf(random, slots), random.below(slots + 1)],
    }),
  ],
  [8, (random) => ({ op: 'read', image: imageOf(random), from: random.below(100_000), to: random.below(200_000) })],
  [4, (random) => ({ op: 'look', image: imageOf(random) })],
  [8, (random) => ({ op: 'delete', image: imageOf(random) })],
  [5, (random) => ({ op: 'purge', image: imageOf(random) })],
  [5, (random) => ({ op: 'restore', image: imageOf(random) })],
  [3, (random) => ({ op: 'restore-while-pruning', image: imageOf(random) })],
  [8, (random) => ({ op: 'sync', image: imageOf(random), to: agentOf(random), isDuringGc: random.chance(0.3) })],
  [4, (random) => ({ op: 'list', agent: agentOf(random) })],
  [10, (random) => ({ op: 'cleanup', agent: agentOf(random) })],
  [3, (random) => ({ op: 'scrub', agent: agentOf(random) })],
  [1, (random) => ({ op: 'expire', agent: agentOf(random) })],
  [3, (random) => ({ op: 'tasks', agent: agentOf(random) })],
  [2, (random) => ({ op: 'token', agent: agentOf(random) })],
  [1, (random) => ({ op: 'untoken', agent: agentOf(random) })],
  [6, (random) => ({ op: 'crash', agent: agentOf(random) })],
  [8, (random) => ({ op: 'power', agent: agentOf(random), state: random.pick(['kept', 'kept', 'kept', 'no-index', 'old-index', 'lost']) })],
  [2, (random) => ({ op: 'restart', agent: agentOf(random) })],
  [1, (random) => ({ op: 'rot', agent: agentOf(random) })],
  [3, (random) => ({ op: 'fault', agent: agentOf(random), after: 1 + random.below(60), fault: random.pick(['EIO', 'ENOSPC', 'late']) })],
  [2, (random) => ({ op: 'lie', agent: agentOf(random) })],
  [5, (random) => ({ op: 'wait', ms: random.pick([100, 3000, 61_000, 4_000_000, 4_000_000]) })],
]

/** Few seeds of content, so that images share slices. */
function drawContent(random: Random): Stretch[] {
  return Array.from({ length: 1 + random.below(3) }, () => ({
    kind: random.pick(['noise', 'noise', 'text', 'zeros'] as const),
    length: random.chance(0.7) ? 512 * (1 + random.below(80)) : 1 + random.below(30_000),
    seed: random.below(4),
  }))
}
