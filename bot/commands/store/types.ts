// `store types`: which type of image store fits which primary storage, and which is the default.

import { nearestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { DEFAULT_STORE_TYPE, fitOf, IMAGE_STORE_TYPES, PRIMARY_STORAGE_TYPES, primaryStorage } from '../../hypervisors/storage-types.ts'
import type { PrimaryStorageType } from '../../hypervisors/storage-types.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const storeTypes = defineCommand({
  noun: 'store',
  verb: 'types',
  summary: 'Shows which type of image store fits which primary storage, and which is chosen by default',
  role: 'viewer',
  effect: 'read',
  options: { primary: { about: `only this primary storage: ${PRIMARY_STORAGE_TYPES.map(({ type }) => type).join(', ')}`, value: 'TYPE' } },
  examples: ['store types', 'store types primary=ceph'],
  async run(context, { options }) {
    const rows = options.primary === undefined ? PRIMARY_STORAGE_TYPES : [onePrimary(options.primary)]
    const stores = context.fleet.registry.list()
    const asOfMs = context.clock.nowMs()
    const matching = (primary: PrimaryStorageType): string[] => stores.filter(({ provider }) => fitOf(primary, provider) !== 'no').map(({ name }) => name)
    return makeView({
      title: 'Types of storage',
      text: `A store is of the type ${DEFAULT_STORE_TYPE} unless store add or store edit says provider=. With primary=, image add and image upload choose a store of the default type first.`,
      columns: [
        { key: 'primary', label: 'Primary storage', isWhole: true },
        ...IMAGE_STORE_TYPES.map(({ type }) => ({ key: type, label: `Store: ${type}` })),
        { key: 'stores', label: 'Stores that fit' },
        { key: 'about', label: 'What it is', isMinor: true as const },
      ],
      rows: rows.map((primary) => ({
        cells: {
          primary: primary.type,
          ...Object.fromEntries(IMAGE_STORE_TYPES.map(({ type }) => [type, fitOf(primary, type)])),
          stores: matching(primary).join(', ') || 'none',
          about: primary.about,
        },
      })),
      notes: IMAGE_STORE_TYPES.map(({ type, about }) => `${type}: ${about}.`),
      asOfMs,
      json: {
        defaultType: DEFAULT_STORE_TYPE,
        storeTypes: IMAGE_STORE_TYPES,
        items: rows.map((primary) => ({
          primary: primary.type,
          about: primary.about,
          default: primary.fits[0],
          fits: Object.fromEntries(IMAGE_STORE_TYPES.map(({ type }) => [type, fitOf(primary, type)])),
          stores: matching(primary),
        })),
        asOf: formatTime(asOfMs),
      },
    })
  },
})

/** Finds a type of primary storage. Throws `invalid-input` with the nearest one. */
export function onePrimary(text: string): PrimaryStorageType {
  const found = primaryStorage(text)
  if (found) return found
  const known = PRIMARY_STORAGE_TYPES.map(({ type }) => type)
  const meant = nearestName(text, known)
  throw problem('invalid-input', `primary=${text} is not a type of primary storage.`, {
    action: meant === undefined ? `Use one of: ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}
