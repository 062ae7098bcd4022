// Sign in with Slack as the fake Slack does it: discovery, the page that sends the browser back, tokens and keys. It refuses what Slack refuses, with 200 and a code.

import { SignJWT, exportJWK, generateKeyPair } from 'jose'

/** The app of the fake Slack. */
export const SIGN_IN_APP = { clientId: '1.2', clientSecret: 'fake-client-secret' } as const

/** Who sits at the browser, and in which workspace. */
export interface SignsIn {
  readonly user: string
  readonly name?: string
  readonly team: string
}

export interface FakeSignIn {
  /** Who signs in; undefined presses Cancel. */
  person: SignsIn | undefined
  /** Replaces claims of the token, as an attacker or a defect would. */
  claims: Readonly<Record<string, unknown>>
  /** Signs with a key that is not published. */
  isForged: boolean
  /** Answers nothing but 503. */
  isAway: boolean
  /** The paths that were asked. */
  readonly asked: string[]
  /** Sends a browser through the page of Slack, and returns the address to which Slack sends it back. */
  visit(url: string): Promise<string>
  /** Answers a request of the browser or of the bot; undefined if it is about something else. */
  answer(request: Request): Promise<Response | undefined>
}

/** Keys take long to make, and most fakes sign nothing: made once for all, when they are first used. */
const makeKeys = (): (() => ReturnType<typeof generateKeyPair>) => {
  let made: ReturnType<typeof generateKeyPair> | undefined
  return () => (made ??= generateKeyPair('RS256'))
}
const keys = makeKeys()
const others = makeKeys()

const refused = (error: string): Response => Response.json({ ok: false, error })

/** Creates the part of a workspace; `base` is its address, and `redirect` the only address to which it sends people. */
export function createFakeSignIn(base: () => string, redirect: string): FakeSignIn {
  const codes = new Map<string, { readonly person: SignsIn; readonly nonce: string | null }>()
  const asked: string[] = []

  const authorize = (query: URLSearchParams): Response => {
    const isOurs = query.get('client_id') === SIGN_IN_APP.clientId && query.get('redirect_uri') === redirect
    if (!isOurs || query.get('response_type') !== 'code' || !query.get('scope')?.split(' ').includes('openid')) return new Response('refused', { status: 400 })
    const back = new URL(redirect)
    back.searchParams.set('state', query.get('state') ?? '')
    if (!part.person) back.searchParams.set('error', 'access_denied')
    else {
      const code = `code-${crypto.randomUUID()}`
      codes.set(code, { person: part.person, nonce: query.get('nonce') })
      back.searchParams.set('code', code)
    }
    return new Response(null, { status: 302, headers: { location: back.href } })
  }
  const token = async (form: URLSearchParams): Promise<Response> => {
    if (form.get('client_id') !== SIGN_IN_APP.clientId) return refused('invalid_client_id')
    if (form.get('client_secret') !== SIGN_IN_APP.clientSecret) return refused('bad_client_secret')
    if (form.get('redirect_uri') !== redirect) return refused('bad_redirect_uri')
    const found = codes.get(form.get('code') ?? '')
    if (!found || form.get('grant_type') !== 'authorization_code') return refused('invalid_code')
    codes.delete(form.get('code') ?? '')
    const { person, nonce } = found
    const claims = { nonce, 'https://slack.com/user_id': person.user, 'https://slack.com/team_id': person.team, name: person.name, ...part.claims }
    const iat = Math.floor(Date.now() / 1000)
    const signed = new SignJWT({ iss: base(), sub: person.user, aud: SIGN_IN_APP.clientId, iat, exp: iat + 300, ...claims })
    const { privateKey } = await (part.isForged ? others : keys)()
    const idToken = await signed.setProtectedHeader({ alg: 'RS256', kid: 'fake' }).sign(privateKey)
    return Response.json({ ok: true, access_token: 'xoxp-fake', token_type: 'Bearer', id_token: idToken })
  }
  const part: FakeSignIn = {
    person: { user: 'U024BE7LH', name: 'ann', team: 'T1' },
    claims: {},
    isForged: false,
    isAway: false,
    asked,
    visit: async (url) => (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? '',
    async answer(request) {
      const { pathname, searchParams } = new URL(request.url)
      if (!pathname.includes('openid')) return undefined
      asked.push(pathname)
      if (part.isAway) return new Response('away', { status: 503 })
      if (pathname === '/.well-known/openid-configuration')
        return Response.json({
          issuer: base(),
          authorization_endpoint: `${base()}/openid/connect/authorize`,
          token_endpoint: `${base()}/api/openid.connect.token`,
          jwks_uri: `${base()}/openid/connect/keys`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
          token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
        })
      if (pathname === '/openid/connect/authorize') return authorize(searchParams)
      if (pathname === '/api/openid.connect.token') return token(new URLSearchParams(await request.text()))
      if (pathname === '/openid/connect/keys')
        return Response.json({ keys: [{ ...(await exportJWK((await keys()).publicKey)), kid: 'fake', use: 'sig', alg: 'RS256' }] })
      return new Response('not found', { status: 404 })
    },
  }
  return part
}
