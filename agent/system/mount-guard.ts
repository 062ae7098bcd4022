// Folders of the system never become a store, also not through a link: a store writes below its mount path and removes
// there what it does not know.

import { lstatSync, readlinkSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize, resolve } from 'node:path'

/** Links followed on the way to one path, as many as Linux follows (path_resolution(7)). */
const LINKS_MAX = 40

const SYSTEM_FOLDERS: readonly RegExp[] = [/^\/$/, /^\/(?:dev|proc|sys|bin|sbin|usr|etc|boot|run|lib[^/]*)(?:\/|$)/]

export type MountVerdict = { readonly kind: 'accepted'; readonly path: string } | { readonly kind: 'refused'; readonly reason: string }

/** Whether a path may be a mount path. It need not exist; `path` of the verdict has all links followed. */
export function judgeMountPath(path: string): MountVerdict {
  if (!isAbsolute(path)) return { kind: 'refused', reason: `"${path}" is not an absolute path` }
  const lexical = normalize(path).replace(/(.)\/+$/, '$1')
  if (isSystemFolder(lexical)) return { kind: 'refused', reason: `"${path}" is a folder of the system` }
  const followed = followLinks(path)
  if (followed === undefined) return { kind: 'refused', reason: `"${path}" leads through too many links` }
  if (isSystemFolder(followed)) return { kind: 'refused', reason: `"${path}" leads to "${followed}", a folder of the system` }
  return { kind: 'accepted', path: followed }
}

function isSystemFolder(path: string): boolean {
  return SYSTEM_FOLDERS.some((pattern) => pattern.test(path))
}

/** Follows the links of every part of a path, also of dangling ones; parts that do not exist stay as they are. */
function followLinks(path: string): string | undefined {
  let links = 0
  let followed = '/'
  const parts = path.split('/').filter((name) => name !== '' && name !== '.')
  while (parts.length > 0) {
    const part = parts.shift() ?? ''
    const here = part === '..' ? dirname(followed) : join(followed, part)
    const target = readLink(here)
    if (target === undefined) {
      followed = here
      continue
    }
    if (++links > LINKS_MAX) return undefined
    parts.unshift(...target.split('/').filter((name) => name !== '' && name !== '.'))
    if (isAbsolute(target)) followed = '/'
  }
  return resolve(followed)
}

function readLink(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined
  } catch {
    // What is not there, or may not be looked at, is no link that could be followed.
    return undefined
  }
}
