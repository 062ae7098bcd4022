// From the name of a policy to the policy.

import { nearestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Policy } from '../../policies/policy.ts'
import type { CommandContext, TargetSpec } from '../command.ts'

export const POLICY_TARGET: TargetSpec = { name: 'P', about: 'name of a policy', subject: 'policy' }

/** The policy with this name. Throws `not-found` with the nearest name. */
export function onePolicy({ policies }: Pick<CommandContext, 'policies'>, name: string): Policy {
  const found = policies.find(name)
  if (found) return found
  const names = policies.list().map((policy) => policy.name)
  const meant = nearestName(name, names)
  const known = names.length === 0 ? 'Add one with policy add.' : `There are: ${names.join(', ')}.`
  throw problem('not-found', `There is no policy "${name}".`, { action: meant === undefined ? known : `Did you mean ${meant}?` })
}
