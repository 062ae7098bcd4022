// `grant revoke G`: ends a grant between stores. A sync that uses it fails and says so.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneToken } from '../token/find.ts'
import { grantFields, isGrant } from './grant-rows.ts'

export const grantRevoke = defineCommand({
  noun: 'grant',
  verb: 'revoke',
  summary: 'Ends a grant between stores at once',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'G', about: 'id of a grant, or a unique part of it', subject: 'text' }],
  options: { store: { about: 'the source that gave the grant', value: 'S', subject: 'store' } },
  examples: ['grant revoke tok_01hf'],
  async run(context, { targets, options }) {
    const found = await oneToken(context, targets[0] ?? '', options.store)
    const { store, token } = found
    if (!isGrant(token))
      throw problem('invalid-input', `${token.id} is a token, not a grant between stores.`, { action: `End it with token revoke ${token.id}.` })
    await askStore(context, store, (agent) => agent.tokens.delete(token.id))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Grant ${token.id} revoked`,
      text: 'A sync that uses it fails and keeps what it copied. To continue it, run task retry, which gives it another grant.',
      fields: grantFields(found, context.fleet.registry.list()),
      asOfMs,
      json: { store: store.name, ...token, revoked: true, asOf: formatTime(asOfMs) },
    })
  },
})
