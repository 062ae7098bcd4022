// `image bin`: the deleted images, and when their retention ends.

import { defineCommand } from '../../command.ts'
import type { Column } from '../../../../protocol/views/view.ts'
import { restoreAction } from './image-rows.ts'
import { LIST_FLAGS } from './list-options.ts'
import { listImages } from './list.ts'

const BIN_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'length', label: 'Length', align: 'right' },
  { key: 'stored', label: 'Stored', align: 'right', isMinor: true },
  { key: 'deleted', label: 'Deleted', isMinor: true },
  { key: 'expires', label: 'Deleted for good' },
  { key: 'id', label: 'Id', isWhole: true },
]

export const imageBin = defineCommand({
  noun: 'image',
  verb: 'bin',
  summary: 'Lists the recycle bin: deleted images and when they are deleted for good',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    owner: { about: 'only images of this owner', value: 'NAME' },
  },
  flags: LIST_FLAGS,
  examples: ['image bin', 'image bin store=edge-a'],
  run: (context, { options, flags }) =>
    listImages(context, {
      title: 'Recycle bin',
      store: options.store,
      zone: options.zone,
      filter: { status: 'deleted', owner: options.owner },
      columns: BIN_COLUMNS,
      action: restoreAction,
      isFresh: flags.has('fresh'),
    }),
})
