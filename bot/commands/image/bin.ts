// `image bin`: what the recycle bin holds and until when.

import { defineCommand } from '../command.ts'
import { listImages } from './list.ts'

export const imageBin = defineCommand({
  noun: 'image',
  verb: 'bin',
  summary: 'Lists the recycle bin: deleted images and when they are gone for good',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    owner: { about: 'only images of this owner', value: 'NAME' },
  },
  run: (context, { options }) =>
    listImages(context, 'Recycle bin', options, { status: 'deleted', owner: options.owner }, [
      { key: 'name', label: 'Name', isWhole: true },
      { key: 'store', label: 'Store', isWhole: true },
      { key: 'length', label: 'Length', align: 'right' },
      { key: 'stored', label: 'Stored', align: 'right', isMinor: true },
      { key: 'deleted', label: 'Deleted', isMinor: true },
      { key: 'expires', label: 'Gone for good' },
      { key: 'id', label: 'Id', isWhole: true },
    ]),
})
