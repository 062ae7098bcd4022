// The bot's configuration: the only file of the bot that reads the environment. Credentials come from it or, in a service, from the files
// in $CREDENTIALS_DIRECTORY.

import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errorText, hasCode } from '../protocol/errors.ts'
import type { ApprovalRule } from './approvals/approvals.ts'
import { parseReconnect, RECONNECT_DEFAULT_MS, RECONNECT_WORDS } from './fleet/reconnect.ts'
import type { LogLevel } from './system/log.ts'
import { REQUESTS_DEFAULT, REQUESTS_VARIABLE } from './system/request-limit.ts'

export const LISTEN_DEFAULT = '127.0.0.1:8421'
export const WEB_LISTEN_DEFAULT = '127.0.0.1:8422'
export const HOME_DEFAULT = './data'
const SLACK_API = 'https://slack.com/api/'
/** Folders in which the default home is not created. */
const SYSTEM_FOLDER = /^\/(?:$|(?:bin|boot|dev|etc|lib[^/]*|proc|run|sbin|sys|usr)(?:\/|$))/

/** How the bot connects to Slack. */
export type SlackAccess =
  | { readonly kind: 'socket'; readonly appToken: string; readonly botToken: string }
  | { readonly kind: 'http'; readonly signingSecret: string; readonly botToken: string; readonly hostname: string; readonly port: number }

/** Where the page listens, and under which address a proxy serves it. */
export interface WebAccess {
  readonly hostname: string
  readonly port: number
  /** Nobody chose the address: the service starts without the page when it is taken. */
  readonly isDefault: boolean
  /** Origin under which a proxy serves the page, without a slash at its end. */
  readonly publicUrl: string | undefined
}

/** The Slack app with which people sign in to the page. */
export interface SignInAccess {
  readonly clientId: string
  readonly clientSecret: string
  /** The issuer of OpenID Connect. */
  readonly issuer: string
}

export interface BotConfig {
  /** Absolute folder; the bot stores its data in its subfolder `bot`. */
  readonly home: string
  /** Undefined without Slack: there is only the console. */
  readonly slack: SlackAccess | undefined
  /** Undefined when the page is turned off. */
  readonly web: WebAccess | undefined
  /** Undefined when nobody signs in with Slack, and links are the only way in. */
  readonly signIn: SignInAccess | undefined
  /** Address of another Slack API for tests, with a trailing slash; undefined for the real one. */
  readonly slackApiUrl: string | undefined
  /** Slack user ids; everyone else is a viewer. */
  readonly operators: ReadonlySet<string>
  readonly admins: ReadonlySet<string>
  /** Interval at which the service tries to reach a silent store, in milliseconds; 0 when it does not. */
  readonly reconnectMs: number
  /** Key files for the tokens of agents, the first encrypts: SLIPWAY_BOT_KEY_FILE, then the credential of the service. */
  readonly keyFiles: readonly string[]
  readonly logLevel: LogLevel
  /** Which deletions in Slack need a second person. */
  readonly approvalRule: ApprovalRule
  /** HTTP requests that the runtime allows at the same time. */
  readonly requestsMax: number
  /** The user of this machine, for the audit log. */
  readonly user: string
  readonly noColor: boolean
  /** Address of systemd's notification socket. */
  readonly notifySocket: string | undefined
  /** Watchdog interval of systemd in milliseconds; undefined without a watchdog. */
  readonly watchdogMs: number | undefined
}

/** The bot cannot start; the message is one sentence with the next step. */
export class ConfigRefused extends Error {
  override readonly name = 'ConfigRefused'
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Returns the environment of this process. */
export function ownEnvironment(): Environment {
  return process.env
}

const CREDENTIALS = {
  SLACK_BOT_TOKEN: 'slack-bot-token',
  SLACK_APP_TOKEN: 'slack-app-token',
  SLACK_SIGNING_SECRET: 'slack-signing-secret',
  SLACK_CLIENT_SECRET: 'slack-client-secret',
} as const
/** The credential with the key for the tokens of agents. */
const KEY_CREDENTIAL = 'slipway-bot-key'
const KNOWN = new Set([
  'SLIPWAY_HOME',
  'SLIPWAY_BOT_LISTEN',
  'SLIPWAY_WEB_LISTEN',
  'SLIPWAY_WEB_URL',
  'SLIPWAY_SLACK_OPERATORS',
  'SLIPWAY_SLACK_ADMINS',
  'SLIPWAY_BOT_LOG',
  'SLIPWAY_BOT_RECONNECT',
  'SLIPWAY_BOT_KEY_FILE',
])
const APPROVAL_RULES: readonly ApprovalRule[] = ['on', 'strict', 'off']
const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Reads and validates the configuration. Throws ConfigRefused. */
export function readBotConfig(environment: Environment = process.env, home?: string, folder: string = process.cwd()): BotConfig {
  for (const name of Object.keys(environment)) {
    if (/^SLIPWAY_(?:BOT|SLACK|WEB)_/.test(name) && !KNOWN.has(name))
      throw new ConfigRefused(`${name} is not a setting of the bot. Known: ${[...KNOWN].toSorted().join(', ')}.`)
  }
  const level = text(environment, 'SLIPWAY_BOT_LOG') ?? 'info'
  const logLevel = LOG_LEVELS.find((known) => known === level)
  if (!logLevel) throw new ConfigRefused(`SLIPWAY_BOT_LOG=${level} is not a level. Use ${LOG_LEVELS.join(', ')}.`)
  const apiUrl = text(environment, 'SLACK_API_URL')
  const parsedApi = apiUrl === undefined ? undefined : URL.parse(apiUrl)
  if (parsedApi === null) throw new ConfigRefused(`SLACK_API_URL=${apiUrl} is not an address. Write it as https://HOST/api/, or unset it.`)
  const watchdogUs = Number(text(environment, 'WATCHDOG_USEC') ?? 0)
  const slackApiUrl = parsedApi === undefined ? undefined : parsedApi.href.endsWith('/') ? parsedApi.href : `${parsedApi.href}/`
  const [slack, web] = [readSlack(environment), readWeb(environment)]
  return {
    home: resolve(home ?? text(environment, 'SLIPWAY_HOME') ?? defaultHome(folder)),
    slack,
    web,
    signIn: readSignIn(environment, slack, web, slackApiUrl ?? SLACK_API),
    slackApiUrl,
    operators: userIds(environment, 'SLIPWAY_SLACK_OPERATORS'),
    admins: userIds(environment, 'SLIPWAY_SLACK_ADMINS'),
    reconnectMs: readReconnect(environment),
    keyFiles: readKeyFiles(environment),
    logLevel,
    approvalRule: readApprovalRule(environment),
    requestsMax: Number(text(environment, REQUESTS_VARIABLE) ?? REQUESTS_DEFAULT),
    user: text(environment, 'SUDO_USER') ?? text(environment, 'USER') ?? text(environment, 'LOGNAME') ?? 'console',
    noColor: text(environment, 'NO_COLOR') !== undefined || text(environment, 'TERM') === 'dumb',
    notifySocket: text(environment, 'NOTIFY_SOCKET'),
    watchdogMs: watchdogUs > 0 ? watchdogUs / 1000 : undefined,
  }
}

function readKeyFiles(environment: Environment): string[] {
  const given = text(environment, 'SLIPWAY_BOT_KEY_FILE')
  const folder = text(environment, 'CREDENTIALS_DIRECTORY')
  const credential = folder === undefined ? undefined : join(folder, KEY_CREDENTIAL)
  return [...(given === undefined ? [] : [resolve(given)]), ...(credential !== undefined && existsSync(credential) ? [credential] : [])]
}

function readReconnect(environment: Environment): number {
  const given = text(environment, 'SLIPWAY_BOT_RECONNECT')
  const parsed = given === undefined ? RECONNECT_DEFAULT_MS : parseReconnect(given)
  if (parsed === undefined) throw new ConfigRefused(`SLIPWAY_BOT_RECONNECT=${given} is not understood. Write ${RECONNECT_WORDS}.`)
  return parsed
}

function readApprovalRule(environment: Environment): ApprovalRule {
  const given = text(environment, 'SLIPWAY_APPROVALS') ?? 'on'
  const rule = APPROVAL_RULES.find((known) => known === given)
  if (!rule) throw new ConfigRefused(`SLIPWAY_APPROVALS=${given} is not understood. Write one of: ${APPROVAL_RULES.join(', ')}.`)
  return rule
}

/** HOME_DEFAULT in the working directory. Throws ConfigRefused in a folder of the system. */
function defaultHome(folder: string): string {
  if (SYSTEM_FOLDER.test(folder))
    throw new ConfigRefused(
      `SLIPWAY_HOME is not set, and ${folder} is not a folder for ${HOME_DEFAULT}. Set SLIPWAY_HOME, or run this in the folder where the store was started.`,
    )
  return resolve(folder, HOME_DEFAULT)
}

function readSlack(environment: Environment): SlackAccess | undefined {
  const botToken = credential(environment, 'SLACK_BOT_TOKEN')
  const appToken = credential(environment, 'SLACK_APP_TOKEN')
  const signingSecret = credential(environment, 'SLACK_SIGNING_SECRET')
  const listen = text(environment, 'SLIPWAY_BOT_LISTEN')
  if (botToken === undefined && appToken === undefined && signingSecret === undefined) return undefined
  if (botToken === undefined) {
    throw new ConfigRefused(
      `${appToken === undefined ? 'SLACK_SIGNING_SECRET' : 'SLACK_APP_TOKEN'} is set, but SLACK_BOT_TOKEN is not. Set it to the bot token (xoxb-…) of the Slack app, or unset both to use the console.`,
    )
  }
  if (botToken.startsWith('xapp-'))
    throw new ConfigRefused('SLACK_BOT_TOKEN holds an app-level token (xapp-…). Set it to the "Bot User OAuth Token" (xoxb-…) of the Slack app.')
  if (appToken !== undefined) {
    if (appToken.startsWith('xoxb-'))
      throw new ConfigRefused('SLACK_APP_TOKEN holds a bot token (xoxb-…). Set it to an app-level token (xapp-…) with the scope connections:write.')
    return { kind: 'socket', appToken, botToken }
  }
  if (signingSecret === undefined) {
    throw new ConfigRefused(
      'SLACK_BOT_TOKEN is set, but neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (HTTP) is. Set one of them, or unset the bot token to use the console.',
    )
  }
  return { kind: 'http', signingSecret, botToken, ...parseListen('SLIPWAY_BOT_LISTEN', listen ?? LISTEN_DEFAULT) }
}

/** Reads how people sign in with Slack: all of what it needs, or nothing of it. */
function readSignIn(environment: Environment, slack: SlackAccess | undefined, web: WebAccess | undefined, apiUrl: string): SignInAccess | undefined {
  const clientId = text(environment, 'SLACK_CLIENT_ID')
  const clientSecret = credential(environment, 'SLACK_CLIENT_SECRET')
  if (clientId === undefined && clientSecret === undefined) return undefined
  const missing = (name: string, what: string): ConfigRefused =>
    new ConfigRefused(`Signing in with Slack is configured, but ${name}. Set ${what}, or unset SLACK_CLIENT_ID and SLACK_CLIENT_SECRET.`)
  if (clientId === undefined) throw missing('SLACK_CLIENT_ID is not set', 'it to the Client ID of the Slack app')
  if (clientSecret === undefined) throw missing('SLACK_CLIENT_SECRET is not set', 'it to the Client Secret of the Slack app')
  if (!slack) throw missing('SLACK_BOT_TOKEN is not set', 'the tokens of the bot in the same workspace')
  if (!web) throw missing('SLIPWAY_WEB_LISTEN is off', 'it to the address of the page')
  if (web.publicUrl?.startsWith('https:') !== true)
    throw missing('SLIPWAY_WEB_URL is no https address', 'it to https://HOST: Slack sends people back there, and only there')
  return { clientId, clientSecret, issuer: new URL(apiUrl).origin }
}

function readWeb(environment: Environment): WebAccess | undefined {
  const given = text(environment, 'SLIPWAY_WEB_LISTEN')
  if (given === 'off') return undefined
  const publicUrl = readPublicUrl(environment)
  return { ...parseListen('SLIPWAY_WEB_LISTEN', given ?? WEB_LISTEN_DEFAULT), isDefault: given === undefined, publicUrl }
}

function readPublicUrl(environment: Environment): string | undefined {
  const given = text(environment, 'SLIPWAY_WEB_URL')
  if (given === undefined) return undefined
  const url = URL.parse(given)
  const isOrigin = url && (url.protocol === 'https:' || url.protocol === 'http:') && url.pathname === '/' && url.search + url.hash + url.username === ''
  if (!isOrigin) throw new ConfigRefused(`SLIPWAY_WEB_URL=${given} is not the address of the page. Write it as https://HOST, without a path.`)
  return url.origin
}

function parseListen(name: string, listen: string): { hostname: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(listen)
  const port = Number(match?.[3] ?? Number.NaN)
  const hostname = match?.[1] ?? match?.[2]
  if (hostname === undefined || !(port <= 65_535))
    throw new ConfigRefused(
      `${name}=${listen} is not an address. Write it as HOST:PORT, such as ${name === 'SLIPWAY_WEB_LISTEN' ? WEB_LISTEN_DEFAULT : LISTEN_DEFAULT}.`,
    )
  return { hostname, port }
}

function userIds(environment: Environment, name: string): ReadonlySet<string> {
  const ids = (text(environment, name) ?? '').split(/[\s,]+/).filter((id) => id !== '')
  for (const id of ids)
    if (!/^[UW][A-Z0-9]{2,}$/.test(id))
      throw new ConfigRefused(`${name}: "${id}" is not the id of a Slack user. Copy it from the profile ("Copy member ID"), such as U024BE7LH.`)
  return new Set(ids)
}

function text(environment: Environment, name: string): string | undefined {
  const value = environment[name]?.trim()
  return value === undefined || value === '' ? undefined : value
}

function credential(environment: Environment, name: keyof typeof CREDENTIALS): string | undefined {
  const given = text(environment, name)
  const folder = text(environment, 'CREDENTIALS_DIRECTORY')
  if (given !== undefined || folder === undefined) return given
  const path = join(folder, CREDENTIALS[name])
  try {
    const read = readFileSync(path, 'utf8').trim()
    return read === '' ? undefined : read
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw new ConfigRefused(`${path} cannot be read: ${errorText(error)}. Check LoadCredential= of the unit.`)
  }
}
