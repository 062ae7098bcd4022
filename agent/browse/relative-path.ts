// Parses the paths that clients send: parts below the mount path, or a problem. Pure.

import { problem } from '../../protocol/problems.ts'

const PATH_LENGTH_MAX = 4096
const PARTS_MAX = 100

/**
 * Returns the parts of a relative path; an empty array for the mount path itself. Throws ProblemError `outside-mount-path` for `..`, an absolute
 * path, NUL or a backslash. Percent signs are plain characters here: the query was already decoded.
 */
export function parseRelativePath(path: string): string[] {
  if (path === '/' || path === '') return []
  if (path.length > PATH_LENGTH_MAX) throw problem('invalid-input', `path is longer than ${PATH_LENGTH_MAX} characters.`)
  if (path.includes('\0')) throw outside('path contains a NUL character')
  if (path.includes('\\')) throw outside('path contains a backslash; separate parts with "/"')
  if (path.startsWith('/')) throw outside('path is absolute')
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw outside('path contains ".."')
  if (parts.length > PARTS_MAX) throw problem('invalid-input', `path has more than ${PARTS_MAX} parts.`)
  return parts
}

function outside(why: string) {
  return problem('outside-mount-path', `The ${why}.`)
}
