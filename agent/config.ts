// Configuration of an agent: the TOML file, `SLIPWAY_<SECTION>_<KEY>` above it, and what systemd and tests hand in by the
// environment. The only file of the agent that reads the environment. Whatever is wrong is told in sentences, all at once.

import { readFileSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { join } from 'node:path'
import { Cron } from 'croner'
import { z } from 'zod'
import { errorCode, errorText, hasCode } from '../protocol/errors.ts'
import { nameSchema } from '../protocol/image.ts'
import { parseDuration, parseSize } from '../protocol/units.ts'
import { environmentName, readEnvironment, readToml } from './config-source.ts'
import type { KeyKind, KnownKeys } from './config-source.ts'
import type { LogLevel } from './contract/runtime.ts'
import { isPeer } from './sync/peer-network.ts'
import { judgeMountPath } from './system/mount-guard.ts'
import { unreadableReason } from './system/unreadable.ts'

/** Longest configuration file in bytes. */
const CONFIG_BYTES_MAX = 1024 * 1024

const size = z.string().transform((text, context) => {
  const bytes = parseSize(text)
  if (bytes === undefined) context.addIssue({ code: 'custom', message: `"${text}" is not a size; write it like "1 GB" or "512 MiB"` })
  return bytes ?? z.NEVER
})

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text)
  if (ms === undefined) context.addIssue({ code: 'custom', message: `"${text}" is not a duration; write it like "24h" or "3d"` })
  return ms ?? z.NEVER
})

const absolutePath = z.string().regex(/^\/[^\u0000]*$/, 'must be an absolute path')
const cron = z.string().refine(isCron, 'is not a cron expression; write five fields like "17 3 * * *"')
const cidr = z.string().refine((text) => text === '' || isCidr(text), 'is not a network; write it like "10.20.0.0/16", or leave it empty')
const origin = z.string().refine(isOrigin, 'is not an origin; write it like "https://console.example", or "*" for any')
const peer = z
  .string()
  .refine(isPeer, 'must be a list of networks, addresses and host names; write them like "10.20.0.0/16" or "hub.example", without scheme and port')
const concurrency = z.int('must be a whole number from 1 to 16').min(1, 'must be a whole number from 1 to 16').max(16, 'must be a whole number from 1 to 16')

const listen = z.string().transform((text, context) => {
  const address = parseListen(text)
  if (!address) context.addIssue({ code: 'custom', message: `"${text}" is not an address; write it like "127.0.0.1:8420" or "[::1]:8420"` })
  return address ?? z.NEVER
})

const configSchema = z.object({
  store: z.object({
    name: nameSchema.default('edge-a'),
    description: z.string().max(4096).default(''),
    mount: absolutePath.default('/srv/slipway'),
    zone: nameSchema.default('zone-1'),
    scope: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a word of small letters, such as "zone"')
      .default('zone'),
    reserved: size.default(1_000_000_000),
    /** Without it /var/lib/slipway/<name>. */
    state: absolutePath.optional(),
  }),
  network: z.object({
    listen: listen.default({ host: '127.0.0.1', port: 8420 }),
    data: cidr.default(''),
    sync: cidr.default(''),
    'plain-http': z.boolean().default(false),
  }),
  transfer: z.object({ 'upload-concurrency': concurrency.default(1), 'download-concurrency': concurrency.default(1) }),
  images: z.object({
    'retrieve-existing': z.boolean().default(false),
    deletion: z.enum(['immediate', 'delayed', 'never']).default('delayed'),
    retention: duration.default(3 * 86_400_000),
    'max-per-owner': z.int().min(0).default(0),
    enabled: z.boolean().default(true),
  }),
  uploads: z.object({ expiry: duration.default(86_400_000), 'max-length': size.default(16_000_000_000_000), origins: z.array(origin).default([]) }),
  sync: z.object({ peers: z.array(peer).default([]) }),
  imports: z.object({ roots: z.array(absolutePath).default([]), allow: z.array(z.string().min(1)).default([]) }),
  schedules: z.object({
    cleanup: cron.default('17 3 * * *'),
    scrub: cron.default('41 1 * * 0'),
    expire: cron.default('*/10 * * * *'),
    timezone: z.string().refine(isTimezone, 'is not a time zone; write it like "UTC" or "Europe/Berlin"').default('UTC'),
  }),
  tls: z.object({ cert: z.string().default(''), key: z.string().default('') }),
})

/** Every key, and how it is written in the environment. */
export const KNOWN_KEYS = {
  store: { name: 'text', description: 'text', mount: 'text', zone: 'text', scope: 'text', reserved: 'text', state: 'text' },
  network: { listen: 'text', data: 'text', sync: 'text', 'plain-http': 'flag' },
  transfer: { 'upload-concurrency': 'number', 'download-concurrency': 'number' },
  images: { 'retrieve-existing': 'flag', deletion: 'text', retention: 'text', 'max-per-owner': 'number', enabled: 'flag' },
  uploads: { expiry: 'text', 'max-length': 'text', origins: 'list' },
  sync: { peers: 'list' },
  imports: { roots: 'list', allow: 'list' },
  schedules: { cleanup: 'text', scrub: 'text', expire: 'text', timezone: 'text' },
  tls: { cert: 'text', key: 'text' },
} satisfies { [Section in keyof z.input<typeof configSchema>]: { [Key in keyof z.input<typeof configSchema>[Section]]-?: KeyKind } } & KnownKeys

export interface ListenAddress {
  readonly host: string
  /** 0 lets the kernel choose. */
  readonly port: number
}

/** What an agent runs with. Sizes are bytes, durations milliseconds, networks CIDR text, `''` where there is none. */
export interface Config {
  readonly store: {
    readonly name: string
    readonly description: string
    /** With all links followed. */
    readonly mount: string
    readonly zone: string
    readonly scope: string
    readonly reservedBytes: number
    readonly state: string
  }
  /** `plainHttp`: plain HTTP on addresses other than loopback is meant. */
  readonly network: { readonly listen: ListenAddress; readonly data: string; readonly sync: string; readonly plainHttp: boolean }
  readonly transfer: { readonly uploadConcurrency: number; readonly downloadConcurrency: number }
  readonly images: {
    readonly retrieveExisting: boolean
    readonly deletion: 'immediate' | 'delayed' | 'never'
    readonly retentionMs: number
    readonly maxPerOwner: number
    readonly enabled: boolean
  }
  /** `origins`: pages of other addresses that may upload and read contents from a browser, such as `https://console.example`. */
  readonly uploads: { readonly expiryMs: number; readonly lengthMax: number; readonly origins: readonly string[] }
  /** `peers`: networks, addresses and host names that syncs may copy from; empty: all but those that are never talked to. */
  readonly sync: { readonly peers: readonly string[] }
  readonly imports: { readonly roots: readonly string[]; readonly allow: readonly string[] }
  readonly schedules: { readonly cleanup: string; readonly scrub: string; readonly expire: string; readonly timezone: string }
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** Keys that are set, and that this version only accepts. */
  readonly ineffectiveKeys: readonly string[]
  /** What does not come from the file. */
  readonly process: ProcessSettings
}

/** Settings of this one process, from systemd, an operator or a test. */
export interface ProcessSettings {
  /** First admin token, from the credential `admin-token` or SLIPWAY_ADMIN_TOKEN. */
  readonly adminToken: string | undefined
  readonly logLevel: LogLevel
  readonly notifySocket: string | undefined
  readonly watchdogMs: number | undefined
  /** Crash point at which a test ends this process (SLIPWAY_CRASH_POINT). */
  readonly crashPoint: string | undefined
}

export type ConfigOutcome = { readonly kind: 'config'; readonly config: Config } | { readonly kind: 'refused'; readonly complaints: readonly string[] }

export type Environment = Readonly<Record<string, string | undefined>>

/** Loads the configuration of this process; without a file the defaults and the environment. Changes nothing. */
export function loadConfig(file: string | undefined, environment: Environment = process.env): ConfigOutcome {
  let text = ''
  if (file !== undefined) {
    try {
      const bytes = readFileSync(file)
      if (bytes.byteLength > CONFIG_BYTES_MAX)
        return refuse(`${file} is longer than ${CONFIG_BYTES_MAX} bytes, which no configuration is. Name the right file with --config.`)
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      const reason = unreadableReason(file)
      if (reason !== undefined) return refuse(`The configuration ${file} cannot be read: ${reason}`)
      return refuse(`The configuration ${file} cannot be read (${errorCode(error) ?? errorText(error)}). Name a readable file with --config.`)
    }
  }
  return parseConfig(text, file ?? 'configuration', environment)
}

/** Makes a configuration of TOML text and an environment. */
export function parseConfig(text: string, name: string, environment: Environment): ConfigOutcome {
  const fromFile = readToml(text, name, KNOWN_KEYS)
  const fromEnvironment = readEnvironment(environment, KNOWN_KEYS)
  const complaints = [...fromFile.complaints, ...fromEnvironment.complaints]
  const merged = Object.fromEntries(Object.keys(KNOWN_KEYS).map((section) => [section, { ...fromFile.values[section], ...fromEnvironment.values[section] }]))
  const parsed = configSchema.safeParse(merged)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const [section = '', key = ''] = issue.path.map(String)
      const isFromEnvironment = fromEnvironment.values[section]?.[key] !== undefined
      complaints.push(`${isFromEnvironment ? environmentName(section, key) : `${name}: ${section}.${key}`} ${sentence(issue.message)}`)
    }
    return { kind: 'refused', complaints }
  }
  const config = complete(parsed.data, environment, complaints)
  return complaints.length > 0 ? { kind: 'refused', complaints } : { kind: 'config', config }
}

function complete(parsed: z.output<typeof configSchema>, environment: Environment, complaints: string[]): Config {
  const { store, network, transfer, images, uploads, sync, imports, schedules, tls } = parsed
  const mount = judgeMountPath(store.mount)
  if (mount.kind === 'refused') complaints.push(`store.mount cannot be used: ${mount.reason}. Choose a folder of its own, such as /srv/slipway.`)
  const state = store.state ?? `/var/lib/slipway/${store.name}`
  if (store.state === undefined && !/^[\w.-]+$/.test(store.name))
    complaints.push(
      `store.state must be given, because the name "${store.name}" does not make a folder name. Set it to a folder such as /var/lib/slipway/edge-a.`,
    )
  const mountPath = mount.kind === 'accepted' ? mount.path : store.mount
  if (`${state}/`.startsWith(`${mountPath}/`))
    complaints.push(
      `store.state "${state}" lies on the mount path "${mountPath}". Choose a folder on a local disk: the index database must not lie on the mount path.`,
    )
  if ((tls.cert === '') !== (tls.key === '')) complaints.push(`tls.cert and tls.key belong together. Set both, or neither.`)
  return {
    store: { name: store.name, description: store.description, mount: mountPath, zone: store.zone, scope: store.scope, reservedBytes: store.reserved, state },
    network: { listen: network.listen, data: network.data, sync: network.sync, plainHttp: network['plain-http'] },
    transfer: { uploadConcurrency: transfer['upload-concurrency'], downloadConcurrency: transfer['download-concurrency'] },
    images: {
      retrieveExisting: images['retrieve-existing'],
      deletion: images.deletion,
      retentionMs: images.retention,
      maxPerOwner: images['max-per-owner'],
      enabled: images.enabled,
    },
    uploads: { expiryMs: uploads.expiry, lengthMax: uploads['max-length'], origins: uploads.origins },
    sync,
    imports,
    schedules,
    tls: tls.cert === '' ? undefined : tls,
    ineffectiveKeys: ineffectiveKeys(parsed),
    process: readProcessSettings(environment, complaints),
  }
}

/** Keys of imports, which this version does not have. Those at their default change nothing anyway. */
function ineffectiveKeys({ images, imports }: z.output<typeof configSchema>): string[] {
  const keys: string[] = []
  if (images['retrieve-existing']) keys.push('images.retrieve-existing')
  if (imports.roots.length > 0) keys.push('imports.roots')
  if (imports.allow.length > 0) keys.push('imports.allow')
  return keys
}

function readProcessSettings(environment: Environment, complaints: string[]): ProcessSettings {
  const logLevel = z.enum(['debug', 'info', 'warn', 'error']).safeParse(environment['SLIPWAY_LOG_LEVEL'] ?? 'info')
  if (!logLevel.success) complaints.push('SLIPWAY_LOG_LEVEL must be one of debug, info, warn, error.')
  const watchdogUs = Number(environment['WATCHDOG_USEC'] ?? Number.NaN)
  const isWatchdogOurs = environment['WATCHDOG_PID'] === undefined || environment['WATCHDOG_PID'] === String(process.pid)
  return {
    adminToken: readAdminToken(environment, complaints),
    logLevel: logLevel.data ?? 'info',
    notifySocket: environment['NOTIFY_SOCKET'],
    watchdogMs: isWatchdogOurs && watchdogUs > 0 ? watchdogUs / 1000 : undefined,
    crashPoint: environment['SLIPWAY_CRASH_POINT'],
  }
}

/** The systemd credential `admin-token` (systemd.exec(5), LoadCredential=) goes before the variable. */
function readAdminToken(environment: Environment, complaints: string[]): string | undefined {
  const folder = environment['CREDENTIALS_DIRECTORY']
  let token = environment['SLIPWAY_ADMIN_TOKEN']
  if (folder !== undefined && folder !== '') {
    try {
      token = readFileSync(join(folder, 'admin-token'), 'utf8')
    } catch (error) {
      if (!hasCode(error, 'ENOENT'))
        complaints.push(`The credential admin-token cannot be read (${errorCode(error) ?? errorText(error)}). Check LoadCredential= of the unit.`)
    }
  }
  token = token?.trim()
  if (token === undefined || token === '') return undefined
  if (!/^[\x21-\x7e]{1,512}$/.test(token))
    complaints.push('The admin token must be at most 512 printable characters without spaces. Make one with: openssl rand -hex 32')
  return token
}

/** Host and port of `127.0.0.1:8420`, `[::1]:8420` or `name:8420`. */
export function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text.trim())
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) return undefined
  return { host, port }
}

function isCidr(text: string): boolean {
  const [address = '', prefix = '', rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest !== undefined || !/^\d{1,3}$/.test(prefix)) return false
  try {
    new BlockList().addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4')
    return true
  } catch {
    // The prefix is longer than the address.
    return false
  }
}

/** As browsers write it in the header Origin (RFC 6454 §6.2): nothing after host and port. */
function isOrigin(text: string): boolean {
  return text === '*' || (/^https?:/.test(text) && URL.parse(text)?.origin === text)
}

function isCron(text: string): boolean {
  try {
    return new Cron(text, { paused: true }).getPattern() !== ''
  } catch {
    return false
  }
}

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function sentence(message: string): string {
  const text = message
    .replace(/^Invalid input: expected/, 'is wrong: expected')
    .replace(/^Invalid option: expected/, 'is wrong: expected')
    .replace(/^Too (small|big): expected \w+ to (have|be)/, 'is wrong: must $2')
  return `${text.startsWith('"') ? 'is wrong: ' : ''}${text}. Correct it and start again.`
}

function refuse(complaint: string): ConfigOutcome {
  return { kind: 'refused', complaints: [complaint] }
}
