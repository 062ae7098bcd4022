// `token list`: tokens of one store or of all, without their secrets.

import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { tokensOf } from './find.ts'
import { TOKEN_COLUMNS, tokenRow } from './token-rows.ts'

export const tokenList = defineCommand({
  noun: 'token',
  verb: 'list',
  summary: 'Lists tokens with role, user, groups, expiry and last use, without their secrets',
  role: 'admin',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only stores of this zone', value: 'Z', subject: 'zone' },
  },
  examples: ['token list store=edge-a'],
  async run(context, { options }) {
    const nowMs = context.clock.nowMs()
    const contacts = await context.fleet.contactAll(someStores(context, options.store, options.zone), (agent) => tokensOf(agent, nowMs))
    const all = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((token) => ({ store: contact.store, token })) : []))
    // Grants between stores come and go with each sync: grant list shows them.
    const found = all.filter(({ token }) => token.grant === null)
    const granted = all.length - found.length
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Tokens',
      text: found.length === 0 ? 'No tokens.' : plural(found.length, 'token'),
      columns: found.length === 0 ? [] : TOKEN_COLUMNS,
      rows: found.map(tokenRow),
      notes: [...gapNotes(contacts, 'its tokens'), ...(granted === 0 ? [] : [`${plural(granted, 'grant')} between stores: grant list`])],
      asOfMs,
      json: { items: found.map(({ store, token }) => ({ store: store.name, ...token })), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})
