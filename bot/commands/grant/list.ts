// `grant list`: grants between stores, with which one store copies images of another.

import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { tokensOf } from '../token/find.ts'
import { GRANT_COLUMNS, grantRow, isGrant } from './grant-rows.ts'

export const grantList = defineCommand({
  noun: 'grant',
  verb: 'list',
  summary: 'Lists grants between stores: which store may copy which images, and until when',
  role: 'admin',
  effect: 'read',
  options: {
    store: { about: 'only grants of this source', value: 'S', subject: 'store' },
    zone: { about: 'only sources of this zone', value: 'Z', subject: 'zone' },
  },
  examples: ['grant list store=edge-a'],
  async run(context, { options }) {
    const nowMs = context.clock.nowMs()
    const stores = context.fleet.registry.list()
    const contacts = await context.fleet.contactAll(someStores(context, options.store, options.zone), (agent) => tokensOf(agent, nowMs))
    const found = contacts.flatMap((contact) =>
      contact.kind === 'answered' ? contact.value.filter(isGrant).map((token) => ({ store: contact.store, token })) : [],
    )
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Grants between stores',
      text: found.length === 0 ? 'No grants.' : plural(found.length, 'grant'),
      columns: found.length === 0 ? [] : GRANT_COLUMNS,
      rows: found.map((one) => grantRow(one, stores)),
      notes: gapNotes(contacts, 'its grants'),
      asOfMs,
      json: { items: found.map(({ store, token }) => ({ store: store.name, ...token })), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})
