// `slack manifest`: prints the manifest from which Slack creates the app.

import { problem } from '../../../protocol/problems.ts'
import { appManifest, REQUEST_PATH, SIGNED_IN_PATH } from './app-manifest.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'

export const slackManifest = defineCommand({
  noun: 'slack',
  verb: 'manifest',
  summary: 'Prints the manifest of the Slack app, to paste at api.slack.com/apps',
  role: 'viewer',
  effect: 'read',
  options: {
    url: { about: 'public address of the bot for HTTP mode; Socket Mode without it', value: 'https://HOST' },
    page: { about: 'public address of the page, for people who sign in to it with Slack', value: 'https://HOST' },
  },
  examples: ['slack manifest', 'slack manifest url=https://slipway.example.com', 'slack manifest page=https://slipway.example.com'],
  run({ clock }, { options: { url, page } }) {
    const manifest = appManifest({ requests: url === undefined ? undefined : requestUrl(url), signedIn: page === undefined ? undefined : signedInUrl(page) })
    return Promise.resolve(
      makeView({ title: 'Manifest of the Slack app', document: Bun.YAML.stringify(manifest, null, 2), asOfMs: clock.nowMs(), json: manifest }),
    )
  },
})

/** The address of Slack's requests at a public address of the bot. */
function requestUrl(address: string): string {
  const url = httpsAddress('url', address, 'Slack sends its requests there, through your TLS proxy.')
  return url.pathname === '/' ? new URL(REQUEST_PATH, url).href : url.href
}

/** The address to which Slack sends people who signed in. */
function signedInUrl(address: string): string {
  return new URL(SIGNED_IN_PATH, httpsAddress('page', address, 'the value of SLIPWAY_WEB_URL, where Slack sends people who signed in.')).href
}

function httpsAddress(option: string, address: string, why: string): URL {
  const url = URL.parse(address)
  if (url?.protocol !== 'https:' || url.search !== '' || url.hash !== '' || url.username !== '')
    throw problem('invalid-input', `${option}=${address} is not an https address.`, { action: `Write ${option}=https://HOST: ${why}` })
  return url
}
