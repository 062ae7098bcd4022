// `token revoke T`: ends a token and every link that it created.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneToken } from './find.ts'
import { tokenFields } from './token-rows.ts'

export const tokenRevoke = defineCommand({
  noun: 'token',
  verb: 'revoke',
  summary: 'Ends a token at once, with the links that it created',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'T', about: 'id of a token, a unique part of it, or its name', subject: 'text' }],
  options: { store: { about: 'the store that has the token', value: 'S', subject: 'store' } },
  examples: ['token revoke nightly-builds store=edge-a'],
  async run(context, { targets, options }) {
    const { store, token } = await oneToken(context, targets[0] ?? '', options.store)
    await askStore(context, store, (agent) => agent.tokens.delete(token.id))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Token ${token.name} revoked`,
      text: 'Requests with it and links that it created are refused from now on. Its unfinished uploads stay until they expire.',
      fields: tokenFields({ store, token }),
      asOfMs,
      json: { store: store.name, ...token, revoked: true, asOf: formatTime(asOfMs) },
    })
  },
})
