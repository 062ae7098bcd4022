// `host-key list`: host keys of SFTP servers that stores have pinned.

import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { HOST_KEY_COLUMNS, hostKeyJson, hostKeyRow, readHostKeys } from './host-key-rows.ts'
import type { FoundHostKey } from './host-key-rows.ts'

export const hostKeyList = defineCommand({
  noun: 'host-key',
  verb: 'list',
  summary: 'Lists the host keys of SFTP servers that were pinned, and keys that were offered instead',
  role: 'operator',
  effect: 'read',
  options: { store: { about: 'only this store', value: 'S', subject: 'store' } },
  examples: ['host-key list', 'host-key list store=edge-a'],
  async run(context, { options }) {
    const contacts = await context.fleet.contactAll(someStores(context, options.store, undefined), readHostKeys)
    const found: FoundHostKey[] = contacts.flatMap((contact) =>
      contact.kind === 'answered' ? contact.value.map((key) => ({ store: contact.store, key })) : [],
    )
    const refused = found.filter(({ key }) => key.offered !== null)
    const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
    return makeView({
      title: 'Host keys',
      tone: refused.length > 0 ? 'warning' : 'plain',
      text: found.length === 0 ? 'No host key is pinned.' : plural(found.length, 'host key'),
      columns: found.length === 0 ? [] : HOST_KEY_COLUMNS,
      rows: found.map(hostKeyRow),
      notes: [
        ...(refused.length === 0 ? [] : [`Imports from ${plural(refused.length, 'host')} were refused: host-key show HOST says what to do.`]),
        ...gapNotes(contacts, 'its host keys'),
      ],
      asOfMs,
      json: { items: found.map(hostKeyJson), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
    })
  },
})
