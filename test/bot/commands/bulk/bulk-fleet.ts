// A store that changes and copies every image that it is asked to, for the tests of bulk runs.

import type { DraftItem } from '../../../../bot/bulk/bulk-run.ts'
import type { CommandContext } from '../../../../bot/commands/command.ts'
import { imageOf, openScriptedFleet } from '../scripted-fleet.ts'
import type { Asked, Script } from '../scripted-fleet.ts'
import { taskOf } from '../sessions/fleet.ts'

export const items = (count: number, params: DraftItem['params'] = {}): DraftItem[] =>
  Array.from({ length: count }, (_, n) => ({ store: 'edge-a', image: imageOf(n).id, name: `disk-${n}`, length: 10, params }))
export const protect = (count: number) => ({ verb: 'protect' as const, title: `Protect ${count} images`, items: items(count) })
export const copies = (count: number) => ({ verb: 'sync' as const, title: `Copy ${count} images`, items: items(count, { from: ['edge-b'] }) })

/** Changes every image that it is asked to, and copies with tasks that end when `ended` has their id. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what it returns is what it makes
export function openBulk(script: Script = {}) {
  const ended = new Set<string>()
  const task = (id: string) => taskOf(id, 'sync', ended.has(id) ? 'succeeded' : 'running', { id, endedAt: ended.has(id) ? '2026-01-01T00:00:01.000Z' : null })
  const fleet = openScriptedFleet({
    'edge-a': {
      'POST /sync': ({ body }: Asked) => task(`tsk_${Number((body as { images: string[] }).images[0]?.slice(4))}`),
      '*': ({ request }: Asked) => (request.startsWith('GET /tasks/') ? task(request.slice(11)) : imageOf(0, { protected: request.startsWith('PATCH') })),
      ...script,
    },
    'edge-b': { 'POST /sync/grants': { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' } },
  })
  const runs = fleet.bot.bulkRuns
  const context = (members: Partial<CommandContext> = {}): CommandContext => ({ ...fleet.bot.context({ name: 'ann', role: 'admin' }, 'console'), ...members })
  const ordered = (): string[] => fleet.asked.filter((request) => request === 'edge-a POST /sync')
  const changed = (): string[] => fleet.asked.filter((request) => request.includes('PATCH'))
  return { ...fleet, runs, context, ended, ordered, changed, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

export const ADA = { id: 'U1', name: 'ada', role: 'admin' } as const
