// Whether the bot places new images in a store: every command that adds, uploads or copies an image asks here first.

import { problem } from '../../protocol/problems.ts'
import { maintenanceAt } from '../fleet/maintenance.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { formatAt } from '../views/phrases.ts'
import type { CommandContext } from './command.ts'
import { quoteWord } from './line.ts'

/** Throws `conflict` for a store in maintenance, with until when and the next step. */
export function checkPlacement({ clock }: Pick<CommandContext, 'clock'>, store: StoreRecord): void {
  const maintenance = maintenanceAt(store, clock.nowMs())
  if (!maintenance) return
  const why = `by ${maintenance.by}${maintenance.reason === '' ? '' : `: ${maintenance.reason}`}`
  throw problem('conflict', `${store.name} is in maintenance until ${formatAt(maintenance.untilMs)} (${why}), and takes no new images until then.`, {
    title: 'Store in maintenance',
    action: `Choose another store, wait until then, or end it with store maintenance ${quoteWord(store.name)} --end.`,
  })
}
