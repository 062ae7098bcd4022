// The connection test before a store is added or its address or token is changed: one line for each step, and what to do about the one that failed.

import packageFile from '../../package.json' with { type: 'json' }
import { AnswerInvalid } from '../../protocol/client/exchange.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Store } from '../../protocol/store.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { Clock } from '../system/clock.ts'
import { formatAt, formatBytes } from '../../protocol/views/phrases.ts'
import type { Fleet } from './fleet.ts'
import { findObstacle, shownCertificate } from './reach.ts'

/** The steps in the order in which they are tested. */
const STEPS = ['URL', 'DNS', 'TCP', 'TLS', 'agent', 'token', 'version', 'clock', 'space'] as const
export type StepName = (typeof STEPS)[number]

export interface Step {
  readonly step: StepName
  readonly state: 'passed' | 'warning' | 'failed' | 'skipped'
  readonly detail: string
}

export type Connectivity =
  | { readonly kind: 'connected'; readonly store: Store; readonly steps: readonly Step[]; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly step: StepName; readonly detail: string; readonly action: string; readonly steps: readonly Step[] }

export interface ConnectivityDeps {
  readonly fleet: Pick<Fleet, 'client'>
  readonly clock: Pick<Clock, 'nowMs'>
}

/** Difference of the clocks above which links, grants and certificates may be judged wrongly, in milliseconds. */
const CLOCK_SKEW_MS_MAX = 60_000
/** Time before its end in which a certificate should be renewed, in milliseconds. */
const RENEWAL_MS = 14 * 86_400_000

/** The address of an agent as it is stored: http or https, no credentials, no trailing slash; undefined when the text is not such an address. */
export function parseAgentUrl(text: string): string | undefined {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '' || url.username !== '' || url.password !== '') return undefined
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** Tests step by step until one fails. Throws only for bugs. */
export async function testConnectivity(deps: ConnectivityDeps, peer: { readonly url: string; readonly token: string }): Promise<Connectivity> {
  const address = parseAgentUrl(peer.url)
  const steps: Step[] = []
  const pass = (step: StepName, detail: string): void => void steps.push({ step, state: 'passed', detail })
  const warn = (step: StepName, detail: string): void => void steps.push({ step, state: 'warning', detail })
  const fail = (step: StepName, detail: string, action: string): Connectivity => {
    steps.push({ step, state: 'failed', detail })
    const skipped = STEPS.slice(STEPS.indexOf(step) + 1).map((later): Step => ({ step: later, state: 'skipped', detail: 'not tested' }))
    return { kind: 'failed', step, detail, action, steps: [...steps, ...skipped] }
  }
  if (address === undefined) return fail('URL', `"${peer.url}" is not the address of an agent.`, 'Write it as http://HOST:PORT or https://HOST:PORT.')
  pass('URL', address)
  const url = new URL(address)

  const health = await askHealth(deps, address)
  if (health.kind === 'silent') {
    const obstacle = await findObstacle(url, deps.clock.nowMs())
    for (const step of passedBefore(obstacle?.step ?? 'agent', url)) pass(step, PASSED[step])
    if (obstacle) return fail(obstacle.step, obstacle.detail, obstacle.action)
    return fail(
      'agent',
      health.detail,
      'A connection was possible, but no request was answered: check the agent with journalctl -u slipway-agent@NAME, and proxies on the way.',
    )
  }
  for (const step of passedBefore('TLS', url)) pass(step, PASSED[step])
  await noteTls(deps, url, { pass, warn })
  if (health.kind === 'other') return fail('agent', health.detail, health.action)
  if (health.state === 'running') pass('agent', 'its state is running')
  else warn('agent', `The store can be reached, but its state is ${health.state}: see store health.`)

  const described = await askStore(deps, address, peer.token)
  if (described.kind === 'failed') {
    if (described.step === 'version') pass('token', 'the agent accepts it')
    return fail(described.step, described.detail, described.action)
  }
  const { store } = described
  if (described.isAdmin) pass('token', 'an admin token')
  else warn('token', 'The token is not an admin token: the agent will refuse commands that need a higher role.')
  const version = versionWords(store.version)
  if (version.isFailure) return fail('version', version.detail, version.action)
  if (version.isSame) pass('version', version.detail)
  else warn('version', `${version.detail} ${version.action}`)
  const skew = skewWords(health)
  if (skew === undefined) pass('clock', 'the clocks agree')
  else warn('clock', skew)
  const { available, reserved } = store.capacity
  if (available > 0) pass('space', `${formatBytes(available)} above the reserve of ${formatBytes(reserved)}`)
  else warn('space', `There is no space above the reserve of ${formatBytes(reserved)}: new images will be refused until there is.`)
  return { kind: 'connected', store, steps, warnings: steps.flatMap(({ state, detail }) => (state === 'warning' ? [detail] : [])) }
}

const PASSED: Readonly<Record<StepName, string>> = {
  URL: '',
  DNS: 'the name is resolved',
  TCP: 'a connection is accepted',
  TLS: 'the certificate is accepted',
  agent: '',
  token: '',
  version: '',
  clock: '',
  space: '',
}

/** The steps of the network that were passed when another one is reached. */
function passedBefore(step: StepName, { protocol }: URL): StepName[] {
  return (['DNS', 'TCP', 'TLS'] as const).filter((one) => STEPS.indexOf(one) < STEPS.indexOf(step) && (one !== 'TLS' || protocol === 'https:'))
}

type Note = (step: StepName, detail: string) => void

async function noteTls({ clock }: ConnectivityDeps, url: URL, { pass, warn }: { readonly pass: Note; readonly warn: Note }): Promise<void> {
  if (url.protocol !== 'https:') {
    pass('TLS', 'not used: the address begins with http://')
    return
  }
  const shown = await shownCertificate(url)
  if (!shown) return pass('TLS', PASSED.TLS)
  const leftMs = shown.untilMs - clock.nowMs()
  const until = `valid until ${formatAt(shown.untilMs)} (${formatDuration(leftMs)} left)`
  if (leftMs < RENEWAL_MS) warn('TLS', `The certificate is ${until}: renew it.`)
  else pass('TLS', `the certificate is accepted, and ${until}`)
}

type AskedHealth =
  | { readonly kind: 'answered'; readonly state: string; readonly asOfMs: number; readonly askedMs: number; readonly answeredMs: number }
  /** Something else than an agent answers, or an agent that cannot say how it is. */
  | { readonly kind: 'other'; readonly detail: string; readonly action: string }
  | { readonly kind: 'silent'; readonly detail: string }

async function askHealth({ fleet, clock }: ConnectivityDeps, url: string): Promise<AskedHealth> {
  const askedMs = clock.nowMs()
  try {
    const { state, asOf } = await fleet.client({ url }).health()
    return { kind: 'answered', state, asOfMs: Date.parse(asOf), askedMs, answeredMs: clock.nowMs() }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    const { detail, action } = error.problem
    if (error.cause instanceof AnswerInvalid)
      return {
        kind: 'other',
        detail: `${url} is not a Slipway agent: ${detail}`,
        action: 'Check the port and the path. An agent listens on port 8420 by default.',
      }
    return error.code === 'peer-unreachable' && !error.isFromPeer ? { kind: 'silent', detail } : { kind: 'other', detail, action }
  }
}

type AskedStore =
  | { readonly kind: 'described'; readonly store: Store; readonly isAdmin: boolean }
  | { readonly kind: 'failed'; readonly step: 'agent' | 'token' | 'version'; readonly detail: string; readonly action: string }

async function askStore({ fleet }: ConnectivityDeps, url: string, token: string): Promise<AskedStore> {
  const agent = fleet.client({ url, token })
  try {
    return { kind: 'described', store: await agent.store.get(), isAdmin: await mayListTokens(agent) }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    if (error.code === 'unauthenticated')
      return {
        kind: 'failed',
        step: 'token',
        detail: `${url} does not accept this token (401).`,
        action: 'Use the admin token of the agent: on its node it is in /var/lib/slipway/NAME/admin-token, the file admin-token of its state folder.',
      }
    if (error.code === 'forbidden')
      return {
        kind: 'failed',
        step: 'token',
        detail: `The token may not read the store (403): ${error.problem.detail}`,
        action: 'Use a token with the role operator or admin.',
      }
    if (error.cause instanceof AnswerInvalid)
      return {
        kind: 'failed',
        step: 'version',
        detail: `The agent describes its store in a way that this bot (${packageFile.version}) does not understand: it is too old or too new.`,
        action: 'Install the same version of Slipway on the node of the agent and on that of the bot.',
      }
    return { kind: 'failed', step: 'agent', detail: error.problem.detail, action: error.problem.action }
  }
}

/** Whether the token has the role admin. An agent that does not say is not asked again. */
async function mayListTokens(agent: ReturnType<Fleet['client']>): Promise<boolean> {
  try {
    await agent.tokens.list({ limit: 1 })
    return true
  } catch (error) {
    if (error instanceof ProblemError) return error.code !== 'forbidden'
    throw error
  }
}

interface VersionWords {
  readonly isFailure: boolean
  readonly isSame: boolean
  readonly detail: string
  readonly action: string
}

/** Compares the version of an agent with that of this bot. Until 1.0 a minor version may change the interface, from then on only a major one. */
export function versionWords(theirs: string, ours: string = packageFile.version): VersionWords {
  const [major, minor] = partsOf(theirs)
  const [ownMajor, ownMinor] = partsOf(ours)
  const isNewer = major > ownMajor || (major === ownMajor && minor > ownMinor)
  const isSame = major === ownMajor && minor === ownMinor
  const isFailure = major !== ownMajor
  if (isSame) return { isFailure, isSame, detail: theirs, action: '' }
  const action = isNewer ? `Upgrade the bot to ${theirs}.` : `Upgrade the agent to ${ours}.`
  return { isFailure, isSame, detail: `The agent has version ${theirs}, which is too ${isNewer ? 'new' : 'old'} for this bot (${ours}).`, action }
}

function partsOf(version: string): readonly [number, number] {
  const [, major = '0', minor = '0'] = /^(\d{1,6})\.(\d{1,6})/.exec(version) ?? []
  return [Number(major), Number(minor)]
}

/** By how much the clock of the agent differs from that of the bot; undefined when that may be the time that the answer took. */
function skewWords({ state, asOfMs, askedMs, answeredMs }: Extract<AskedHealth, { kind: 'answered' }>): string | undefined {
  // While a check hangs, the health is an older one.
  const behindMs = state === 'running' ? askedMs - asOfMs : 0
  const aheadMs = asOfMs - answeredMs
  const skewMs = Math.max(behindMs, aheadMs)
  if (!(skewMs > CLOCK_SKEW_MS_MAX)) return undefined
  const side = behindMs > 0 ? 'behind' : 'ahead of'
  return `The clock of the agent is ${formatDuration(skewMs)} ${side} that of the bot: links, grants and certificates end at the wrong time. Check time synchronisation on both nodes (timedatectl).`
}
