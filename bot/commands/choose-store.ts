// The store for new images: the one that store= names, or, without it, one that fits zone=, hypervisor= and primary=.

import { imageFormatSchema, imageKindSchema } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import { maintenanceAt } from '../fleet/maintenance.ts'
import { keptSightings } from '../fleet/see.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { fitOf } from '../hypervisors/storage-types.ts'
import type { CommandContext, OptionSpec } from './command.ts'
import { refusedKinds } from './placement.ts'
import type { PlacedImage } from './placement.ts'
import { oneStore, oneZone } from './select.ts'
import { onePrimary } from './store/types.ts'

/** Options that say which store is chosen when store= does not name one. */
export const CHOICE_OPTIONS = {
  zone: { about: 'zone that the store must serve; without store=, one is chosen', value: 'Z', subject: 'zone' },
  hypervisor: { about: 'hypervisor that will use the image; without store=, the store that is bound to it', value: 'H' },
  primary: { about: 'primary storage on which instances will lie, as in store types; without store=, a store that fits is chosen', value: 'TYPE' },
} as const satisfies Record<string, OptionSpec>

type Choice = Readonly<Partial<Record<keyof typeof CHOICE_OPTIONS | 'store' | 'kind' | 'format', string>>>

/**
 * Returns the store for new images. Without any of the options, it is the only store. Throws ProblemError when the named store does not serve the zone, or when
 * none fits.
 */
export function storeForImages(context: CommandContext, { store, zone, hypervisor, primary, ...image }: Choice): StoreRecord {
  const wanted = primary === undefined ? undefined : onePrimary(primary)
  const place = zone === undefined ? undefined : oneZone(context, zone).name
  if (store !== undefined) return oneStore(context, store, undefined, place)
  if (hypervisor !== undefined) {
    const bound = context.hypervisors.storeOf(hypervisor)
    if (bound === undefined)
      throw problem('not-found', `The hypervisor ${hypervisor} is bound to no store.`, {
        action: `Bind it with store bind STORE hypervisor=${hypervisor}, or add store=NAME.`,
      })
    return oneStore(context, bound, undefined, place)
  }
  if (place === undefined && wanted === undefined) return oneStore(context, undefined)
  const fitting = context.fleet.registry
    .list()
    .filter((one) => (place === undefined || context.zones.serves(one, place)) && (wanted === undefined || fitOf(wanted, one.provider) !== 'no'))
  const sightings = keptSightings(context.fleet, fitting, context.clock.nowMs())
  /** Smaller is better: those that do not answer last, then the default type first, then the zone's own stores, then the most free space. */
  const rank = (one: StoreRecord): readonly number[] => {
    const sighting = sightings.get(one.name)
    const seen = sighting?.kind === 'answered' ? sighting.value.store : undefined
    const isMaintained = maintenanceAt(one, context.clock.nowMs()) !== undefined
    const takesNone =
      isMaintained ||
      refusedKinds(context, one, placedImage(image)) !== undefined ||
      one.stoppedSinceMs !== null ||
      (seen !== undefined && seen !== null && (!seen.enabled || seen.imagesEnabled === false))
    return [
      Number(takesNone),
      Number(wanted !== undefined && fitOf(wanted, one.provider) !== 'default'),
      Number(place !== undefined && one.zone !== place),
      -(seen?.capacity.available ?? 0),
    ]
  }
  const [first] = fitting.map((one) => ({ one, rank: rank(one) })).toSorted((a, b) => compareRanks(a.rank, b.rank))
  if (first) return first.one
  const what = [...(place === undefined ? [] : [`serves zone "${place}"`]), ...(wanted === undefined ? [] : [`fits the primary storage ${wanted.type}`])].join(
    ' and ',
  )
  throw problem('not-found', `No store ${what}.`, { action: 'Look at zone list and store types, or add store=NAME.' })
}

/** Returns the declared kind and format. What is not understood is left out: the command refuses it. */
export function placedImage({ kind, format }: Readonly<Partial<Record<'kind' | 'format', string>>>): PlacedImage {
  return { kind: imageKindSchema.safeParse(kind).data, format: imageFormatSchema.safeParse(format).data }
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value - (b[i] ?? 0)
  return 0
}
