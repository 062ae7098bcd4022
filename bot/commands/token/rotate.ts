// `token rotate T`: a new secret for the same token. The previous secret ends at once.

import { defineCommand } from '../command.ts'
import { answerOf } from '../select.ts'
import { oneToken } from './find.ts'
import { secretView } from './token-rows.ts'

export const tokenRotate = defineCommand({
  noun: 'token',
  verb: 'rotate',
  summary: 'Gives a token a new secret, shown once; the previous one ends at once',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a token, a unique part of it, or its name', subject: 'text' }],
  options: { store: { about: 'the store that has the token', value: 'S', subject: 'store' } },
  examples: ['token rotate nightly-builds store=edge-a'],
  async run(context, { targets, options }) {
    const { store, token } = await oneToken(context, targets[0] ?? '', options.store)
    const contact = await context.fleet.contact(store, (agent) => agent.tokens.rotate(token.id))
    const rotated = answerOf(contact)
    return secretView(
      `Token ${rotated.name} has a new secret`,
      { store, token: rotated },
      {
        asOfMs: contact.asOfMs,
        notes: [
          `If the bot uses this token, give it the new secret: store edit ${store.name} token=SECRET`,
          'Links that the token created stay valid; token revoke ends them.',
        ],
      },
    )
  },
})
