// Paths as clients write them: parts below the mount path, or a refusal. Pure.

import { problem } from '../../protocol/problems.ts'

const PATH_LENGTH_MAX = 4096
const PARTS_MAX = 100

/**
 * The parts of a relative path; none for the mount path itself. Throws ProblemError `outside-mount-path` for what tries to
 * leave: `..`, an absolute path, NUL, a backslash. Percent signs are plain characters here: the query was decoded once.
 */
export function parseRelativePath(path: string): string[] {
  if (path === '/' || path === '') return []
  if (path.length > PATH_LENGTH_MAX) throw problem('invalid-input', `path is longer than ${PATH_LENGTH_MAX} characters.`)
  if (path.includes('\0')) throw outside('path contains a NUL character')
  if (path.includes('\\')) throw outside('path contains a backslash; parts are divided by "/"')
  if (path.startsWith('/')) throw outside('path is absolute')
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw outside('path contains ".."')
  if (parts.length > PARTS_MAX) throw problem('invalid-input', `path has more than ${PARTS_MAX} parts.`)
  return parts
}

function outside(why: string) {
  return problem('outside-mount-path', `The ${why}.`)
}
