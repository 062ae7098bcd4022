// The query of a request, held to the members that its route takes. A member that is ignored misleads its sender: a filter that
// filters nothing, or a format that is not the one sent.

import { quoteName, suggestName } from '../../protocol/nearest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'

/** Characters of an unknown member's name that `errors` repeats. */
const MEMBER_SHOWN_MAX = 100
/** The member of a signed link. Routes that a link opens take it besides their own. */
export const LINK_MEMBER = 'link'

/**
 * Returns the members of a query by name. Throws ProblemError `invalid-input` at the first one that is not known, and at one that is given
 * twice, of which a route would have to ignore one. The limit on the length of a target bounds the work.
 */
export function readQuery(query: URLSearchParams, known: readonly string[]): Record<string, string> {
  const members: Record<string, string> = {}
  for (const [name, value] of query) {
    if (!known.includes(name)) throw refuse(name, `The query member ${quoteName(name)} is not known${suggestName(name, known, JSON.stringify)}`)
    if (Object.hasOwn(members, name)) throw refuse(name, `The query member ${quoteName(name)} is given more than once.`)
    members[name] = value
  }
  return members
}

function refuse(name: string, detail: string): ProblemError {
  return problem('invalid-input', detail, { errors: [{ in: 'query', member: name.slice(0, MEMBER_SHOWN_MAX), message: detail }] })
}
