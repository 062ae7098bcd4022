// From the number of a request to the request, and who may see it.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { permit, roleIn } from '../permit.ts'
import type { Approval } from '../../approvals/approvals.ts'
import type { CommandContext, TargetSpec } from '../command.ts'
import { splitLine } from '../line.ts'
import { parseWords } from '../parse.ts'

export const APPROVAL_TARGET: TargetSpec = { name: 'A', about: 'number of a request', subject: 'text' }

/** The request with this number, among those that the actor sees. Throws `not-found`, and `invalid-input` for what is no number. */
export function oneApproval(context: CommandContext, text: string): Approval {
  const action = 'List them with approval list --all.'
  if (!/^#?\d{1,15}$/.test(text)) throw problem('invalid-input', `"${text}" is not the number of a request.`, { action })
  const found = context.approvals.find(Number(text.replace('#', '')))
  if (!found || !seesApproval(context, found)) throw problem('not-found', `There is no request ${text}.`, { action })
  return found
}

/** Whether a request is shown: to the person who asked, and to operators of everything that it names. */
export function seesApproval(context: CommandContext, approval: Approval): boolean {
  if (approval.requester === context.actor.id || roleIncludes(context.actor.role, 'operator')) return true
  return approval.subjects.length > 0 && storeWithout(context, approval, 'operator') === undefined
}

/** Where the actor lacks the role that the requested command needs, as `the fleet` or the name of a store, with the role there; undefined when nowhere. */
export function missingRole(context: CommandContext, approval: Approval): { readonly where: string; readonly has: string } | undefined {
  const { actor, commands } = context
  const lacking = storeWithout(context, approval, approval.role)
  if (lacking) return lacking
  const parsed = parseWords(commands, splitLine(approval.line) ?? [])
  const permission = parsed.kind === 'command' ? permit(context, parsed.command, parsed.input, approval.role) : undefined
  return permission?.kind === 'permitted' ? undefined : { where: permission?.where ?? 'the fleet', has: permission?.has ?? actor.role }
}

function storeWithout({ actor, fleet }: CommandContext, { subjects }: Approval, role: Role): { readonly where: string; readonly has: Role } | undefined {
  const registry = fleet.registry.list()
  for (const name of new Set(subjects.map(({ store }) => store))) {
    const store = registry.find((one) => one.name === name)
    // A store that is not in the (narrowed) registry gives no role.
    const has = store ? roleIn(actor, store) : actor.role
    if (!roleIncludes(has, role)) return { where: name, has }
  }
  return undefined
}
