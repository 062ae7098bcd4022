// `token create`: a token for a person, a pipeline or a hypervisor. Only this answer shows its secret.

import type { z } from 'zod'
import { newTokenSchema, ROLES } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { parseDuration } from '../../../protocol/units.ts'
import { defineCommand } from '../command.ts'
import { refuseIssue } from '../refused-value.ts'
import { answerOf, oneStore } from '../select.ts'
import { secretView } from './token-rows.ts'

export const tokenCreate = defineCommand({
  noun: 'token',
  verb: 'create',
  summary: 'Creates a token and shows its secret once',
  role: 'admin',
  effect: 'write',
  options: {
    name: { about: 'what the token is for', value: 'NAME' },
    role: { about: `one of ${ROLES.join(', ')}`, value: 'ROLE', choices: ROLES },
    store: { about: 'store that the token is for', value: 'S', subject: 'store' },
    user: { about: 'user for whom the token acts: grants to the user apply to it', value: 'NAME' },
    groups: { about: 'groups of the user', value: 'A,B' },
    for: { about: 'how long the token is valid; without it, until it is revoked', value: '30d' },
  },
  examples: ['token create name=nightly-builds role=uploader store=edge-a for=30d', 'token create name="laptop of ann" role=viewer user=ann groups=web'],
  async run(context, { options }) {
    const store = oneStore(context, options.store)
    const ttlMs = options.for === undefined ? undefined : parseDuration(options.for)
    if (options.for !== undefined && ttlMs === undefined)
      throw problem('invalid-input', `for=${options.for} is not a duration.`, { action: 'Write it as 12h, 30d or 52w.' })
    const order = newTokenSchema.safeParse({
      name: options.name,
      role: options.role,
      ...(options.user === undefined ? {} : { subject: options.user }),
      ...(options.groups === undefined ? {} : { groups: options.groups.split(',').map((name) => name.trim()) }),
      ...(ttlMs === undefined ? {} : { ttlSeconds: Math.floor(ttlMs / 1000) }),
    })
    if (!order.success) throw refuse(order.error.issues[0], options)
    const contact = await context.fleet.contact(store, (agent) => agent.tokens.create(order.data))
    const token = answerOf(contact)
    return secretView(`Token ${token.name} created`, { store, token }, { asOfMs: contact.asOfMs })
  },
})

/** Names of the members of a token as options. */
const OPTION_OF: Readonly<Record<string, string>> = { subject: 'user', ttlSeconds: 'for' }

function refuse(issue: z.core.$ZodIssue | undefined, options: Readonly<Record<string, string | undefined>>): Error {
  const member = String(issue?.path[0] ?? 'name')
  const option = OPTION_OF[member] ?? member
  const value = options[option]
  if (value === undefined) return problem('invalid-input', `The token needs ${option}=.`, { action: 'Give at least name= and role=.' })
  // The agent counts seconds and the person writes a duration.
  if (option === 'for') return problem('invalid-input', `for=${value} is not a duration from 1m to 3650d.`, { action: 'Write it as 12h, 30d or 52w.' })
  return refuseIssue(option, value, issue)
}
