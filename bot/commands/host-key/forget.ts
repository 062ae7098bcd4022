// `host-key forget HOST`: removes a pinned host key, so that the next import from this host pins the key that it shows then.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { quoteOption, quoteWord } from '../../views/quote.ts'
import { askStore, oneStore } from '../select.ts'
import { findHostKey } from './host-key-rows.ts'

export const hostKeyForget = defineCommand({
  noun: 'host-key',
  verb: 'forget',
  summary: 'Forgets the pinned host key of an SFTP server; the next import from it pins the key that it shows then',
  role: 'operator',
  effect: 'destroy',
  targets: [{ name: 'HOST', about: 'host:port of the server; the host alone if one port is pinned', subject: 'text' }],
  options: { store: { about: 'store that pinned the key', value: 'S', subject: 'store' } },
  examples: ['host-key forget files.example:22 store=edge-a --confirm files.example:22'],
  async run(context, input) {
    const store = oneStore(context, input.options.store)
    const { host, fingerprint, algorithm, offered } = await findHostKey(context, store, input.targets[0] ?? '')
    const refusal = gate(context, input, {
      title: `Forget the host key of ${host} in ${store.name}`,
      names: [host],
      question: `${store.name} would forget ${fingerprint} (${algorithm}) of ${host}, and trust whatever key answers next under this name.`,
      essence: [host, fingerprint, offered?.fingerprint ?? ''],
      checklist: [
        {
          label: 'Offered instead',
          passed: true,
          detail: offered ? `${offered.fingerprint} (${offered.algorithm}); compare it with "ssh-keygen -lf" on the server` : 'no other key',
        },
      ],
      notes: ['To trust one key only, leave the pinned one and import with hostKey=SHA256:…'],
      command: `host-key forget ${quoteWord(host)} ${quoteOption('store', store.name)}`,
    })
    if (refusal) return refusal
    await askStore(context, store, (agent) => agent.hostKeys.forget(host))
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Host key of ${host} forgotten`,
      text: `${store.name} pins the key that ${host} shows at the next import.`,
      tone: 'good',
      asOfMs,
      json: { store: store.name, forgotten: host, fingerprint, asOf: formatTime(asOfMs) },
    })
  },
})
