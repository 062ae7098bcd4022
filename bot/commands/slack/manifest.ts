// `slack manifest`: prints the manifest from which Slack creates the app.

import { problem } from '../../../protocol/problems.ts'
import { appManifest, REQUEST_PATH } from './app-manifest.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const slackManifest = defineCommand({
  noun: 'slack',
  verb: 'manifest',
  summary: 'Prints the manifest of the Slack app, to paste at api.slack.com/apps',
  role: 'viewer',
  effect: 'read',
  options: { url: { about: 'public address of the bot for HTTP mode; Socket Mode without it', value: 'https://HOST' } },
  examples: ['slack manifest', 'slack manifest url=https://slipway.example.com'],
  run({ clock }, { options }) {
    const manifest = appManifest(options.url === undefined ? undefined : requestUrl(options.url))
    return Promise.resolve(
      makeView({ title: 'Manifest of the Slack app', document: Bun.YAML.stringify(manifest, null, 2), asOfMs: clock.nowMs(), json: manifest }),
    )
  },
})

/** The address of Slack's requests at a public address of the bot. */
function requestUrl(address: string): string {
  const url = URL.parse(address)
  if (url?.protocol !== 'https:' || url.search !== '' || url.hash !== '' || url.username !== '')
    throw problem('invalid-input', `url=${address} is not an https address.`, {
      action: 'Write url=https://HOST: Slack sends its requests there, through your TLS proxy.',
    })
  return url.pathname === '/' ? new URL(REQUEST_PATH, url).href : url.href
}
