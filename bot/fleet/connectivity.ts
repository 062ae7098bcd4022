// The connection test before a store is added or its address is changed: names the step that failed and the next step.

import { errorCode } from '../../protocol/errors.ts'
import { AnswerInvalid } from '../../protocol/client/exchange.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Store } from '../../protocol/store.ts'
import type { Fleet } from './fleet.ts'

export type Connectivity =
  | { readonly kind: 'connected'; readonly store: Store; readonly state: string; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly step: 'URL' | 'network' | 'TLS' | 'agent' | 'token' | 'role'; readonly detail: string; readonly action: string }

const TLS_CODES = /CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|ERR_TLS|HOSTNAME_MISMATCH|ALTNAME/i

/** The address of an agent as it is stored: http or https, no credentials, no trailing slash; undefined when the text is not such an address. */
export function parseAgentUrl(text: string): string | undefined {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '' || url.username !== '' || url.password !== '') return undefined
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** Asks for the health without a token, for the store with it, and for the tokens, which needs an admin. Throws only for bugs. */
export async function testConnectivity(fleet: Pick<Fleet, 'client'>, peer: { readonly url: string; readonly token: string }): Promise<Connectivity> {
  const url = parseAgentUrl(peer.url)
  if (url === undefined) {
    return {
      kind: 'failed',
      step: 'URL',
      detail: `"${peer.url}" is not the address of an agent.`,
      action: 'Write it as http://HOST:PORT or https://HOST:PORT.',
    }
  }
  let state: string
  try {
    state = (await fleet.client({ url }).health()).state
  } catch (error) {
    return unreachable(error, url)
  }
  const agent = fleet.client({ url, token: peer.token })
  try {
    const store = await agent.store.get()
    const warnings = state === 'running' ? [] : [`The store can be reached, but its state is ${state}: see store health.`]
    return { kind: 'connected', store, state, warnings: [...warnings, ...(await roleWarnings(agent))] }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    if (error.code === 'unauthenticated')
      return {
        kind: 'failed',
        step: 'token',
        detail: `${url} does not accept this token.`,
        action: 'Use the admin token of the agent: on its node it is in /var/lib/slipway/NAME/admin-token, the file admin-token of its state folder.',
      }
    if (error.code === 'forbidden')
      return {
        kind: 'failed',
        step: 'role',
        detail: `The token may not read the store: ${error.problem.detail}`,
        action: 'Use a token with the role operator or admin.',
      }
    return unreachable(error, url)
  }
}

async function roleWarnings(agent: ReturnType<Fleet['client']>): Promise<string[]> {
  try {
    await agent.tokens.list({ limit: 1 })
    return []
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return error.code === 'forbidden' ? ['The token is not an admin token: the agent will refuse commands that need a higher role.'] : []
  }
}

function unreachable(error: unknown, url: string): Connectivity {
  if (!(error instanceof ProblemError)) throw error
  const detail = error.problem.detail
  if (error.cause instanceof AnswerInvalid) {
    return {
      kind: 'failed',
      step: 'agent',
      detail: `${url} is not a Slipway agent: ${detail}`,
      action: 'Check the port and the path. An agent listens on port 8420 by default.',
    }
  }
  if (TLS_CODES.test(causeText(error))) {
    return {
      kind: 'failed',
      step: 'TLS',
      detail,
      action: 'Check the certificate, the host name and the clock of the agent. The bot trusts the authorities of the system and NODE_EXTRA_CA_CERTS.',
    }
  }
  if (error.code === 'peer-unreachable') {
    return { kind: 'failed', step: 'network', detail, action: 'Check that the agent is running, and that host, port and firewall let the bot reach it.' }
  }
  return { kind: 'failed', step: 'agent', detail, action: error.problem.action }
}

function causeText(error: Error): string {
  const cause = error.cause
  if (!(cause instanceof Error)) return error.message
  return `${errorCode(cause) ?? ''} ${cause.name} ${cause.message}`
}
