// Sign in with Slack: the code flow of OpenID Connect. openid-client checks what Slack answers. The browser keeps state and nonce between the two steps, so a sign-in
// that somebody began costs the bot nothing.

import * as oidc from 'openid-client'
import { z } from 'zod'
import { errorText } from '../../../protocol/errors.ts'
import type { SignInAccess } from '../../config.ts'
import type { PagePerson } from '../../entry/entry-links.ts'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import { createAttempts } from './attempts.ts'

/** How long Slack has for one answer, in seconds. */
const ANSWER_S_MAX = 10
/** How long what Slack says about its addresses is used, in milliseconds. */
const ADDRESSES_KEPT_MS = 3_600_000
/** Longest name that is kept, in characters. */
const NAME_LENGTH_MAX = 100
/** Most causes of an error that are looked at. */
const CAUSES_MAX = 5

/** What the browser keeps between the two steps. Neither value is a secret of the bot. */
export interface KeptSignIn {
  readonly state: string
  /** Ties Slack's answer to this sign-in. A client with a secret needs no PKCE beside it (RFC 9700 §2.1.1). */
  readonly nonce: string
}

/** Why somebody did not enter. */
export type SignInRefusal = 'cancelled' | 'stale' | 'other-workspace' | 'not-accepted' | 'settings' | 'unreachable' | 'busy'

export type SignInEnd = { readonly kind: 'entered'; readonly person: PagePerson } | { readonly kind: 'refused'; readonly why: SignInRefusal }

export interface SlackSignIn {
  /** Returns the address at Slack to which the browser goes, and what it keeps. Slack sends it back to `callback`. */
  begin(callback: string): Promise<{ readonly kind: 'begun'; readonly url: string; readonly kept: KeptSignIn } | Extract<SignInEnd, { kind: 'refused' }>>
  /** Reads the address with which the browser came back. `kept` is undefined when the browser kept nothing. */
  finish(callback: URL, kept: KeptSignIn | undefined): Promise<SignInEnd>
}

export interface SlackSignInDeps {
  readonly clock: Clock
  readonly log: Log
  /** The id of the workspace in which the bot is installed. Rejects when Slack does not answer. */
  readonly workspace: () => Promise<string>
}

/** Slack's names for who signed in (https://docs.slack.dev/authentication/sign-in-with-slack). */
const Claims = z.object({
  'https://slack.com/team_id': z.string(),
  'https://slack.com/user_id': z.string().regex(/^[UW][A-Z0-9]{2,}$/),
  name: z.string().trim().max(1000).optional(),
})

/** Slack answers 200 with this when it refuses. */
const Refused = z.object({ body: z.object({ ok: z.literal(false), error: z.string() }) })

/** Refusals that the person cannot mend: the credentials or the address in the settings are not those of the app. */
const SETTINGS_REFUSED = /^(?:invalid_client(?:_id)?|bad_client_secret|bad_redirect_uri|redirect_uri_mismatch|unauthorized_client)$/

/** Creates the sign-in for one Slack app. */
export function createSlackSignIn({ clientId, clientSecret, issuer }: SignInAccess, { clock, log, workspace }: SlackSignInDeps): SlackSignIn {
  const attempts = createAttempts(clock)
  let found: { readonly config: Promise<oidc.Configuration>; readonly untilMs: number } | undefined

  /** Asks Slack for its addresses and keys, once for all who ask meanwhile. */
  const configuration = (): Promise<oidc.Configuration> => {
    if (found && clock.nowMs() < found.untilMs) return found.config
    const url = new URL(issuer)
    const config = oidc.discovery(url, clientId, undefined, oidc.ClientSecretPost(clientSecret), {
      timeout: ANSWER_S_MAX,
      // The signature is checked although the token comes from Slack itself over TLS (OpenID Connect Core §3.1.3.7).
      // oxlint-disable-next-line typescript/no-deprecated -- marked so to stand out: only a Slack of tests has no TLS
      execute: [oidc.enableNonRepudiationChecks, ...(url.protocol === 'https:' ? [] : [oidc.allowInsecureRequests])],
    })
    const asked = { config, untilMs: clock.nowMs() + ADDRESSES_KEPT_MS }
    found = asked
    config.catch(() => {
      if (found === asked) found = undefined
    })
    return config
  }

  return {
    async begin(callback) {
      try {
        const kept = { state: oidc.randomState(), nonce: oidc.randomNonce() }
        const [config, team] = await Promise.all([configuration(), workspace()])
        const url = oidc.buildAuthorizationUrl(config, { redirect_uri: callback, scope: 'openid profile', team, ...kept })
        return { kind: 'begun', url: url.href, kept }
      } catch (error) {
        return { kind: 'refused', why: refusalOf(error, log) }
      }
    },
    async finish(callback, kept) {
      if (!kept || callback.searchParams.get('state') !== kept.state) return { kind: 'refused', why: 'stale' }
      using attempt = attempts.take()
      if (!attempt) return { kind: 'refused', why: 'busy' }
      try {
        const [config, team] = await Promise.all([configuration(), workspace()])
        const checks = { expectedState: kept.state, expectedNonce: kept.nonce, idTokenExpected: true }
        const tokens = await oidc.authorizationCodeGrant(config, callback, checks)
        const { 'https://slack.com/team_id': own, 'https://slack.com/user_id': id, name } = Claims.parse(tokens.claims())
        if (own !== team) return { kind: 'refused', why: 'other-workspace' }
        return { kind: 'entered', person: { id, name: name ? `${name.slice(0, NAME_LENGTH_MAX)} (${id})` : id } }
      } catch (error) {
        return { kind: 'refused', why: refusalOf(error, log) }
      }
    },
  }
}

/** Returns why Slack's answer lets nobody in, and logs what whoever runs the bot should know. */
function refusalOf(error: unknown, log: Log): SignInRefusal {
  if (error instanceof oidc.AuthorizationResponseError) return error.error === 'access_denied' ? 'cancelled' : 'not-accepted'
  const code = refusedBy(error)
  if (code !== undefined) {
    if (!SETTINGS_REFUSED.test(code)) return 'not-accepted'
    log.error('Slack refuses the settings of signing in', {
      reason: code,
      action: 'Check SLACK_CLIENT_ID, SLACK_CLIENT_SECRET and the redirect URL of the app.',
    })
    return 'settings'
  }
  const isAnswer = error instanceof z.ZodError || (error instanceof oidc.ClientError && error.code !== 'OAUTH_TIMEOUT' && !isFailure(error))
  log.warn(isAnswer ? 'an answer of Slack lets nobody in' : 'Slack cannot be reached to sign in', { reason: errorText(error) })
  return isAnswer ? 'not-accepted' : 'unreachable'
}

/** Slack's code for its refusal, as OAuth has it or in a body of its own; undefined for any other error. */
function refusedBy(error: unknown): string | undefined {
  if (error instanceof oidc.ResponseBodyError) return error.error
  return causesOf(error)
    .map((cause) => Refused.safeParse(cause).data?.body.error)
    .find((code) => code !== undefined)
}

/** Whether Slack, or a proxy before it, answered that it cannot answer now. */
function isFailure(error: unknown): boolean {
  return causesOf(error).some((cause) => cause instanceof Response && (cause.status >= 500 || cause.status === 429))
}

/** The causes of an error, the nearest first. openid-client wraps what it found. */
function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = []
  for (let cause = error; cause instanceof Error && causes.length < CAUSES_MAX;) causes.push((cause = cause.cause))
  return causes
}
