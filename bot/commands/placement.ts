// Whether the bot places new images in a store: every command that adds, uploads or copies an image asks here first.

import type { Image, ImageDraft } from '../../protocol/images/image.ts'
import { possibleKinds } from '../../protocol/images/image-kinds.ts'
import { problem } from '../../protocol/problems.ts'
import { maintenanceAt } from '../fleet/maintenance.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { keptSightings } from '../fleet/see.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { CommandContext } from './command.ts'
import { quoteWord } from '../views/quote.ts'

/** What is known of a new image before its bytes. */
export type PlacedImage = Pick<ImageDraft, 'kind' | 'format'>

/** Throws `conflict` for a store in maintenance, and `kind-not-accepted` for one that does not take such an image, with the next step. */
export function checkPlacement(context: Pick<CommandContext, 'clock' | 'fleet'>, store: StoreRecord, image?: PlacedImage): void {
  const maintenance = maintenanceAt(store, context.clock.nowMs())
  if (maintenance) {
    const why = `by ${maintenance.by}${maintenance.reason === '' ? '' : `: ${maintenance.reason}`}`
    throw problem('conflict', `${store.name} is in maintenance until ${formatAt(maintenance.untilMs)} (${why}), and takes no new images until then.`, {
      title: 'Store in maintenance',
      action: `Choose another store, wait until then, or end it with store maintenance ${quoteWord(store.name)} --end.`,
    })
  }
  const refusal = image && refusedKinds(context, store, image)
  if (refusal === undefined) return
  throw problem('kind-not-accepted', `${refusal} Nothing was changed.`, {
    action: `Choose another store, or let an administrator add the kind with store edit ${quoteWord(store.name)} kinds=….`,
  })
}

/**
 * Says that a store does not take such an image, as a sentence; undefined if it does, or while the service knows nothing of it: then its agent refuses. An image
 * without a declared kind must be welcome whatever its bytes show.
 */
export function refusedKinds({ clock, fleet }: Pick<CommandContext, 'clock' | 'fleet'>, store: StoreRecord, image: PlacedImage): string | undefined {
  const seen = keptSightings(fleet, [store], clock.nowMs()).get(store.name)
  const accepted = (seen?.kind === 'answered' && seen.value.store?.kinds?.accepted) || []
  const possible = possibleKinds(image)
  if (takesAll(accepted, possible)) return undefined
  const what = image.kind ?? (possible.length === 1 ? possible[0] : undefined)
  return what === undefined
    ? `${store.name} takes only images of the kinds ${accepted.join(', ')}: say with kind= what it is.`
    : `${store.name} takes only images of the kinds ${accepted.join(', ')}, not ${what}.`
}

/** Returns whether a store takes all of these kinds. `accepted`: none for all kinds. */
export function takesAll(accepted: readonly Image['kind'][], kinds: readonly Image['kind'][]): boolean {
  return accepted.length === 0 || kinds.every((kind) => accepted.includes(kind))
}
