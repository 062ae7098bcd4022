// Imports of files of the mount path that the agent itself found.

import { realpath } from 'node:fs/promises'
import type { ImportScheme } from '../source.ts'
import { createLocalSource } from './local-source.ts'

/** The folder of the mount path that is watched. */
export const INBOX = 'inbox'

/** Creates the scheme of files of the mount path, which has no links. Only its inbox may be a link, or on another file system. */
export function createMountScheme(mount: string): ImportScheme {
  return {
    accepts: ({ kind }) => kind === 'mount',
    async check() {},
    source(location) {
      if (location.kind !== 'mount') throw new Error('not a file of the mount path')
      const { path, identity } = location
      const [first, ...rest] = path.split('/')
      return {
        open: async (signal) => {
          const place = first === INBOX ? { root: await realpath(`${mount}/${INBOX}`), parts: rest } : { root: mount, parts: path.split('/') }
          return createLocalSource({ ...place, shown: path, expected: identity }).open(signal)
        },
      }
    },
  }
}
