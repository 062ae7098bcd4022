// Finds what keeps this process from using a file or folder: its permissions, or a file system that is mounted read-only.

import { accessSync, constants, lstatSync, readdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode, hasCode } from '../../protocol/errors.ts'
import type { User } from './users.ts'

/** A path that this process may not use. */
export interface AccessFault {
  /** The path itself, or the folder above it that cannot be entered. */
  readonly path: string
  /** EACCES, EPERM or EROFS. */
  readonly code: string
  readonly owner: User
  /** Permission bits. */
  readonly mode: number
}

/** Returns what keeps this process from reading a path, or from reading and writing it. Undefined when nothing does, or when it does not exist. */
export function accessFault(path: string, need: 'read' | 'write'): AccessFault | undefined {
  const found = lookAt(path)
  if (!found.stat) return found.fault
  const { stat } = found
  try {
    const write = need === 'write' ? constants.W_OK : 0
    accessSync(path, constants.R_OK | write | (stat.isDirectory() ? constants.X_OK : 0))
    return undefined
  } catch (error) {
    return faultOf(path, error)
  }
}

/** Describes the path at which an operation failed with EACCES, EPERM or EROFS. Undefined for any other error. */
export function faultOf(path: string, error: unknown): AccessFault | undefined {
  if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS')) return undefined
  const found = lookAt(path)
  if (!found.stat) return found.fault
  const { uid, gid, mode } = found.stat
  return { path, code: errorCode(error) ?? '', owner: { uid, gid }, mode: mode & 0o777 }
}

/** Returns the owner of a path; undefined when it does not exist or cannot be seen. */
export function ownerOf(path: string): User | undefined {
  const { stat } = lookAt(path)
  return stat && { uid: stat.uid, gid: stat.gid }
}

/** Returns the names of everything below a folder, down to a depth; empty when it does not exist or cannot be listed. */
export function namesBelow(root: string, folder: string, depth: number): string[] {
  if (depth === 0) return []
  try {
    return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const name = join(folder, entry.name)
      return entry.isDirectory() ? [name, ...namesBelow(root, name, depth - 1)] : [name]
    })
  } catch {
    // The check of the folder itself reports why it cannot be listed.
    return []
  }
}

function lookAt(path: string): { readonly stat?: Stats; readonly fault?: AccessFault | undefined } {
  try {
    return { stat: lstatSync(path) }
  } catch (error) {
    // A folder above this path cannot be entered; report that folder.
    return path === dirname(path) ? {} : { fault: faultOf(dirname(path), error) }
  }
}
