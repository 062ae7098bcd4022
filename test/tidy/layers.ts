// The direction of imports as a rule: protocol 0 ← agent/contract 1 ← capabilities 2 ← http, schedule 3 ← main 4. Inside a capability with
// rooms, the rooms have an order too.

import { importsOf } from './source-tree.ts'
import type { SourceFile } from './source-tree.ts'

interface Layer {
  readonly rank: number
  /** Files of one home may import each other. */
  readonly home: string
}

const CAPABILITIES = [
  'slices',
  'uploads',
  'images',
  'imports',
  'convert',
  'exports',
  'sync',
  'browse',
  'health',
  'access',
  'tasks',
  'system',
  'server',
  'visibility',
  'web',
  'usage',
  'reconcile',
]
const EDGES = ['http', 'schedule']

/**
 * Rooms of a capability, lowest floor first; a file imports its own room and lower floors. Rooms that share a floor do not import each other.
 * Files that are in no room are above all rooms.
 */
const FLOORS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'agent/slices': [['packs'], ['index'], ['write'], ['rebuild'], ['gc', 'scrub', 'read']],
  'agent/images': [['manifests', 'formats', 'digest', 'lists', 'pending', 'usage', 'groups', 'snapshot'], ['unpack', 'records'], ['damage']],
  'agent/uploads': [['record'], ['limits'], ['body']],
  bot: [
    ['tables', 'views'],
    ['system'],
    ['audit', 'credentials', 'hypervisors', 'outbox'],
    ['fleet'],
    ['access', 'alerts', 'approvals', 'bulk', 'entry', 'links', 'policies', 'samples', 'started'],
    ['charts'],
    ['config.ts'],
    ['commands'],
    ['open.ts'],
    ['console', 'slack', 'web', 'gateway'],
  ],
}

/** Returns the layer of a file; undefined for a file that is not in the plan. Scripts and tests may import everything. */
export function layerOf(path: string): Layer | undefined {
  const [top = '', second = '', ...rest] = path.split('/')
  if (top === 'protocol') return { rank: 0, home: 'protocol' }
  if (top === 'bot') return { rank: 1, home: 'bot' }
  if (top === 'scripts' || top === 'test') return { rank: 5, home: 'tools' }
  if (top !== 'agent') return undefined
  if (rest.length === 0 || second === 'commands') return { rank: 4, home: 'agent' }
  if (second === 'contract') return { rank: 1, home: 'agent/contract' }
  if (CAPABILITIES.includes(second)) return { rank: 2, home: `agent/${second}` }
  if (EDGES.includes(second)) return { rank: 3, home: `agent/${second}` }
  return undefined
}

/** Returns a sentence for each import that does not go to the file's own home or to a lower layer. */
export function layerViolations(files: readonly SourceFile[]): string[] {
  const violations: string[] = []
  for (const file of files) {
    const from = layerOf(file.path)
    if (!from) {
      violations.push(`${file.path} is in no layer`)
      continue
    }
    for (const { target } of importsOf(file)) {
      if (target?.endsWith('.json')) continue
      const to = target === undefined ? undefined : layerOf(target)
      if (target === undefined) continue
      if (to?.home === from.home) {
        if (!isOnFloorBelow(file.path, target, FLOORS[from.home])) violations.push(`${file.path} imports ${target}, which is not in a room below`)
        continue
      }
      if (!to) violations.push(`${file.path} imports ${target}, which is in no layer`)
      else if (from.home === 'bot' && to.home !== 'protocol') violations.push(`${file.path} imports ${target}: the bot knows the protocol only`)
      else if (from.rank < 5 && (to.home === 'bot' || to.rank >= from.rank))
        violations.push(`${file.path} (rank ${from.rank}) imports ${target} (rank ${to.rank})`)
    }
  }
  return violations
}

/** Returns whether a file of a home may import another file of the same home. */
function isOnFloorBelow(path: string, target: string, floors: readonly (readonly string[])[] | undefined): boolean {
  if (!floors) return true
  const [from, to] = [roomOf(path), roomOf(target)]
  const floorOf = (room: string | undefined): number =>
    room === undefined ? floors.length : (floors.findIndex((rooms) => rooms.includes(room)) + 1 || Number.NaN) - 1
  return from === to || floorOf(to) < floorOf(from)
}

/** Returns the room of a file: `agent/<capability>/<room>/…` or `bot/<room>/…`; undefined for a file in no room. */
function roomOf(path: string): string | undefined {
  const [top, , room, ...rest] = path.split('/')
  if (top === 'bot') return botRoomOf(path)
  return rest.length === 0 ? undefined : room
}

/** What the database is made of is below the database, wherever it lies: the tables of each part and the hash chain of the audit log. */
function botRoomOf(path: string): string | undefined {
  if (/^bot\/(?:.+\/)?tables\.ts$/.test(path) || path === 'bot/audit/chain.ts') return 'tables'
  const [, room, ...rest] = path.split('/')
  return rest.length > 0 || FLOORS['bot']?.some((rooms) => rooms.includes(room ?? '')) ? room : undefined
}
