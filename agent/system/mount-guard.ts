// Keeps system folders from becoming a store, directly or through a link: a store writes below its mount path and removes
// files there.

import { lstatSync, readlinkSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize, resolve } from 'node:path'

/** Most symbolic links followed for one path, as in Linux (path_resolution(7)). */
const LINKS_MAX = 40

const SYSTEM_FOLDERS: readonly RegExp[] = [/^\/$/, /^\/(?:dev|proc|sys|bin|sbin|usr|etc|boot|run|lib[^/]*)(?:\/|$)/]

export type MountVerdict = { readonly kind: 'accepted'; readonly path: string } | { readonly kind: 'refused'; readonly reason: string }

/** Judges whether a path may be a mount path. It need not exist; `path` of the verdict has all links followed. */
export function judgeMountPath(path: string): MountVerdict {
  if (!isAbsolute(path)) return { kind: 'refused', reason: `"${path}" is not an absolute path` }
  const lexical = normalize(path).replace(/(.)\/+$/, '$1')
  if (isSystemFolder(lexical)) return { kind: 'refused', reason: `"${path}" is a system folder` }
  const followed = followLinks(path)
  if (followed === undefined) return { kind: 'refused', reason: `"${path}" has too many links` }
  if (isSystemFolder(followed)) return { kind: 'refused', reason: `"${path}" leads to "${followed}", a system folder` }
  return { kind: 'accepted', path: followed }
}

function isSystemFolder(path: string): boolean {
  return SYSTEM_FOLDERS.some((pattern) => pattern.test(path))
}

/** Follows the links in every part of a path, dangling ones included; parts that do not exist stay as they are. */
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
    // A part that does not exist or cannot be read is not a link that could be followed.
    return undefined
  }
}
