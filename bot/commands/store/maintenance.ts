// `store maintenance S`: until a time the bot places no new images in a store and sends no alerts about it.

import { problem } from '../../../protocol/problems.ts'
import { formatDuration, parseDuration } from '../../../protocol/units.ts'
import { seeStores } from '../../fleet/see.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { parseFuture } from '../option-values.ts'
import { NAME_TARGET, oneStore } from '../select.ts'
import { showView } from './show/show.ts'

/** Shortest and longest maintenance, in milliseconds: one that is forgotten ends all the same. */
const MAINTENANCE_MS_MIN = 60_000
const MAINTENANCE_MS_MAX = 31 * 86_400_000

export const storeMaintenance = defineCommand({
  noun: 'store',
  verb: 'maintenance',
  summary: 'Places no new images in a store and sends no alerts about it until a time, or ends that; its images stay usable',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: {
    for: { about: `how long, at most ${formatDuration(MAINTENANCE_MS_MAX)}`, value: '2h' },
    until: { about: 'when it ends, in UTC, instead of for=', value: '2026-11-22T06:00Z' },
    reason: { about: 'reason, shown with every refusal', value: 'TEXT' },
  },
  flags: { end: 'ends it now' },
  examples: ['store maintenance edge-a for=2h reason="new disks"', 'store maintenance edge-a --end'],
  async run(context, { targets, options, flags }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    const nowMs = context.clock.nowMs()
    const untilMs = flags.has('end') ? undefined : endOf(options, nowMs)
    if (untilMs === undefined && (options.for ?? options.until ?? options.reason) !== undefined)
      throw problem('invalid-input', '--end takes neither for= nor until= nor reason=.', { action: 'Leave out --end to begin or to change a maintenance.' })
    const { reason = '' } = options
    const maintenance = untilMs === undefined ? null : { untilMs, reason, by: context.actor.name }
    const changed = context.fleet.registry.change(store.name, { maintenance })
    const [seen] = await seeStores(context, [changed ?? store], false)
    if (!seen) throw new Error('the maintenance of a store was changed and none observed')
    const title = untilMs === undefined ? `Store ${store.name} is not in maintenance` : `Store ${store.name} is in maintenance until ${formatAt(untilMs)}`
    return { ...showView(seen, context.clock.nowMs()), title }
  },
})

/** Returns when a maintenance ends, in milliseconds since 1970. Throws `invalid-input`. */
function endOf({ for: length, until }: { readonly for?: string; readonly until?: string }, nowMs: number): number {
  if ((length === undefined) === (until === undefined))
    throw problem('invalid-input', `store maintenance needs ${length === undefined ? 'for= or until=' : 'either for= or until=, not both'}.`, {
      action: 'Write how long it lasts, such as for=2h; or --end to end it.',
    })
  const untilMs = until === undefined ? nowMs + (parseDuration(length ?? '') ?? Number.NaN) : parseFuture('until', until, nowMs)
  if (untilMs - nowMs >= MAINTENANCE_MS_MIN && untilMs - nowMs <= MAINTENANCE_MS_MAX) return untilMs
  throw problem('invalid-input', `${until === undefined ? `for=${length}` : `until=${until}`} is not from one minute to 31 days from now.`, {
    action: 'Write how long it lasts, such as for=2h or for=3d.',
  })
}
