// Reads the query of a request and refuses members that its route does not accept. Ignoring such a member would mislead its sender, who expects a
// filter or a format to apply.

import { quoteName, suggestName } from '../../protocol/nearest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'

/** Characters of an unknown member's name that `errors` repeats. */
const MEMBER_SHOWN_MAX = 100
/** The member with a signed link, which every route that allows links accepts. */
export const LINK_MEMBER = 'link'

/**
 * Returns the members of a query by name. Throws ProblemError `invalid-input` for the first unknown member, and for a repeated member, since a
 * route would ignore one of its values. The limit on the length of a request target bounds the work.
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
