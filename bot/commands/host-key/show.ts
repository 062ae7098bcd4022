// `host-key show HOST`: which host key a store expects, and which was offered when an import was refused.

import { formatTime } from '../../../protocol/time.ts'
import { formatWireTime } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { quoteOption, quoteWord } from '../../views/quote.ts'
import { oneStore } from '../select.ts'
import { findHostKey, hostKeyJson } from './host-key-rows.ts'

export const hostKeyShow = defineCommand({
  noun: 'host-key',
  verb: 'show',
  summary: 'Shows which host key of an SFTP server is expected, and which was offered when an import was refused',
  role: 'operator',
  effect: 'read',
  targets: [{ name: 'HOST', about: 'host:port of the server; the host alone if one port is pinned', subject: 'text' }],
  options: { store: { about: 'store that pinned the key', value: 'S', subject: 'store' } },
  examples: ['host-key show files.example:22 store=edge-a'],
  async run(context, { targets, options }) {
    const store = oneStore(context, options.store)
    const key = await findHostKey(context, store, targets[0] ?? '')
    const { host, offered } = key
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Host key of ${host}`,
      tone: offered ? 'warning' : 'plain',
      text: offered
        ? `${host} offered another key than the pinned one, and ${store.name} refused the import before anything secret was sent.`
        : `Imports of ${store.name} from ${host} are accepted only while it shows this key.`,
      fields: [
        { label: 'Store', value: store.name },
        { label: 'Expected', value: `${key.fingerprint} (${key.algorithm})` },
        { label: 'Pinned', value: formatWireTime(key.pinnedAt) },
        ...(offered
          ? [
              { label: 'Offered instead', value: `${offered.fingerprint} (${offered.algorithm})`, tone: 'bad' as const },
              { label: 'Offered first', value: formatWireTime(offered.firstAt) },
            ]
          : []),
      ],
      notes: offered
        ? [
            'Compare both with "ssh-keygen -lf" on the server. If the offered key is right, import again with hostKey set to it, or forget the pinned one. If it is not, somebody else answers.',
          ]
        : [],
      actions: [{ label: 'Forget', command: `host-key forget ${quoteWord(host)} ${quoteOption('store', store.name)}`, role: 'operator', style: 'danger' }],
      asOfMs,
      json: { ...hostKeyJson({ store, key }), asOf: formatTime(asOfMs) },
    })
  },
})
