// For whom a token acts.

import type { Token } from '../../protocol/access.ts'
import type { Principal } from '../contract/access.ts'

/** Returns the principal of a token. */
export function principalOf({ role, subject, groups }: Pick<Token, 'role' | 'subject' | 'groups'>): Principal {
  return { role, ...(subject === null ? {} : { subject }), ...(groups.length === 0 ? {} : { groups }) }
}
