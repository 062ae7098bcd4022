// Imports of files of this node, from below the folders of imports.roots.

import { problem } from '../../../protocol/problems.ts'
import type { ImportScheme } from '../source.ts'
import { createLocalSource } from './local-source.ts'

/** A folder of imports.roots as it is configured, and with its links followed. */
export interface ImportRoot {
  readonly path: string
  readonly real: string
}

/** Creates the scheme of paths below roots. */
export function createPathScheme(roots: readonly ImportRoot[]): ImportScheme {
  return {
    accepts: ({ kind }) => kind === 'path',

    async check(location) {
      if (location.kind === 'path') locate(roots, location.path)
    },

    source(location) {
      if (location.kind !== 'path') throw new Error('not a path')
      return createLocalSource({ ...locate(roots, location.path), shown: location.path })
    },
  }
}

/** Returns the root that a path is below, and its parts there. Throws ProblemError `invalid-input` or `source-not-allowed`. */
function locate(roots: readonly ImportRoot[], path: string): { readonly root: string; readonly parts: readonly string[] } {
  if (!path.startsWith('/'))
    throw problem('invalid-input', 'The path is not absolute.', { action: 'Send the path from the root of the node, such as /srv/images/debian-12.qcow2.' })
  if (path.includes('\0')) throw problem('invalid-input', 'The path contains a NUL character.')
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw problem('invalid-input', 'The path contains "..".', { action: 'Send the path without "..".' })
  const plain = `/${parts.join('/')}`
  for (const { path: written, real } of roots) {
    for (const root of [written, real]) {
      if (plain.startsWith(`${root === '/' ? '' : root}/`)) return { root: real, parts: plain.slice(root.length + 1).split('/') }
    }
  }
  throw problem('source-not-allowed', `${JSON.stringify(path)} is not below a folder that this store imports from.`, {
    action:
      roots.length === 0 ? 'Set imports.roots in the configuration of this store, and restart its agent.' : 'Move the file below a folder of imports.roots.',
  })
}
