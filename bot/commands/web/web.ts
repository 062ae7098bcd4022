// `web`: makes a one-time link into the page, for the person who asks.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatAt } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const web = defineCommand({
  noun: 'web',
  verb: '',
  summary: 'Makes a one-time link with which you enter the page in a browser',
  role: 'viewer',
  // It changes nothing in the fleet, and its answer is a secret of the person who asks.
  effect: 'read',
  examples: ['web', 'web --json'],
  run({ surface, actor, clock, page }) {
    // A session would otherwise be able to outlive its own end.
    if (surface === 'page') throw problem('invalid-input', 'The page makes no links into itself.', { action: 'Run web in Slack or in the console.' })
    const { secret, expiresMs } = page.links.issue({ id: actor.id ?? '', name: actor.name })
    const url = `${page.address.origin()}/enter/${secret}`
    const asOfMs = clock.nowMs()
    return Promise.resolve(
      makeView({
        title: 'Link into the page',
        text: 'It works once, for you: do not pass it on. web list shows who has entered with your links.',
        isPrivate: true,
        fields: [
          { label: 'Open', value: url },
          { label: 'Valid until', value: formatAt(expiresMs) },
        ],
        notes: [
          ...(page.address.isServed()
            ? []
            : ['Nothing serves the page of this home now. Start the service (slipway serve, or run start), then open the link.']),
          ...(surface === 'slack' && page.address.isLocal()
            ? ['Only a browser on the machine of the bot reaches this address. Serve it through a proxy, and set SLIPWAY_WEB_URL to its address.']
            : []),
        ],
        asOfMs,
        json: { url, expiresAt: formatTime(expiresMs), asOf: formatTime(asOfMs) },
      }),
    )
  },
})
