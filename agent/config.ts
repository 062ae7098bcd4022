// Loads the configuration of an agent: the TOML file, the variables `SLIPWAY_<SECTION>_<KEY>`, which take precedence, and the settings of this
// process. No other file of the agent reads the environment. All errors are reported together, each in one sentence.

import { readFileSync } from 'node:fs'
import { normalize } from 'node:path'
import type { z } from 'zod'
import type { Role } from '../protocol/access.ts'
import { errorCode, errorText } from '../protocol/errors.ts'
import type { Image } from '../protocol/images/image.ts'
import { readProcessSettings } from './config-process.ts'
import type { SyncHours } from '../protocol/sync/sync-limits.ts'
import type { Environment, ProcessSettings } from './config-process.ts'
import { ORIGIN_KEYS, readOrigins } from './config-origins.ts'
import type { OriginSettings } from './contract/origins.ts'
import { configSchema, KNOWN_KEYS } from './config-schema.ts'
import type { ListenAddress } from './config-schema.ts'
import { environmentName, readEnvironment, readToml } from './config-source.ts'
import type { ImportRoot } from './imports/local/path-scheme.ts'
import { judgeMountPath } from './system/mount-guard.ts'
import { unreadableReason } from './system/unreadable.ts'

/** Longest configuration file in bytes. */
const CONFIG_BYTES_MAX = 1024 * 1024

/** The configuration of an agent. Sizes are in bytes, durations in milliseconds, networks in CIDR notation; `''` means not set. */
export interface Config {
  readonly store: {
    readonly name: string
    readonly description: string
    /** Absolute, with all symbolic links resolved. */
    readonly mount: string
    readonly zone: string
    readonly scope: string
    readonly reservedBytes: number
    readonly state: string
  }
  /** `plainHttp`: plain HTTP is allowed on addresses other than loopback without a warning. */
  readonly network: { readonly listen: ListenAddress; readonly data: string; readonly sync: string; readonly plainHttp: boolean }
  readonly transfer: { readonly uploadConcurrency: number; readonly downloadConcurrency: number }
  readonly images: {
    readonly retrieveExisting: boolean
    readonly deletion: 'immediate' | 'delayed' | 'never'
    readonly retentionMs: number
    readonly maxPerOwner: number
    readonly maxBytesPerOwner: number
    /** A decimal number without a currency; empty for no price. */
    readonly pricePerGbMonth: string
    readonly enabled: boolean
    /** Lowest role that may add installation images. */
    readonly installationRole: Role
    /** Kinds of images that the store takes; none for all. */
    readonly kinds: readonly Image['kind'][]
  }
  /** `origins`: origins whose pages may upload and read image contents in a browser, such as `https://console.example`. */
  readonly uploads: { readonly expiryMs: number; readonly lengthMax: number; readonly origins: readonly string[] }
  /** `peers`: networks, addresses and host names that a sync may copy from. Empty allows every peer except those that are always refused.
   * `bytesPerSecond`: limit of all syncs together, 0 for none. `hours`: windows in which they move bytes; empty for all hours. */
  readonly sync: { readonly peers: readonly string[]; readonly bytesPerSecond: number; readonly hours: readonly SyncHours[] }
  /** Stores to heal from. */
  readonly origins: readonly OriginSettings[]
  /** `inboxSettleMs`: a file in the inbox is complete when it was not written for this long; undefined when the inbox is not watched. */
  readonly imports: { readonly roots: readonly ImportRoot[]; readonly allow: readonly string[]; readonly inboxSettleMs: number | undefined }
  readonly schedules: { readonly cleanup: string; readonly scrub: string; readonly expire: string; readonly timezone: string }
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  /** Settings that do not come from the file. */
  readonly process: ProcessSettings
}

export type ConfigOutcome = { readonly kind: 'config'; readonly config: Config } | { readonly kind: 'refused'; readonly complaints: readonly string[] }

/** Loads the configuration of this process; without a file, from the defaults and the environment. Changes nothing. */
export function loadConfig(file: string | undefined, environment: Environment = process.env): ConfigOutcome {
  let text = ''
  if (file !== undefined) {
    try {
      const bytes = readFileSync(file)
      if (bytes.byteLength > CONFIG_BYTES_MAX)
        return refuse(`${file} is longer than ${CONFIG_BYTES_MAX} bytes, too long for a configuration. Name the right file with --config.`)
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      const reason = unreadableReason(file)
      if (reason !== undefined) return refuse(`The configuration ${file} cannot be read: ${reason}`)
      return refuse(`The configuration ${file} cannot be read (${errorCode(error) ?? errorText(error)}). Name a readable file with --config.`)
    }
  }
  return parseConfig(text, file ?? 'configuration', environment)
}

/** Creates a configuration from TOML text and an environment. */
export function parseConfig(text: string, name: string, environment: Environment): ConfigOutcome {
  const fromFile = readToml(text, name, KNOWN_KEYS, { origins: ORIGIN_KEYS })
  const fromEnvironment = readEnvironment(environment, KNOWN_KEYS)
  const complaints = [...fromFile.complaints, ...fromEnvironment.complaints]
  const origins = readOrigins(fromFile, name, environment, complaints)
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
  const config = complete(parsed.data, { environment, origins, complaints })
  return complaints.length > 0 ? { kind: 'refused', complaints } : { kind: 'config', config }
}

/** What `complete` uses in addition to the parsed sections. */
interface Completion {
  readonly environment: Environment
  readonly origins: readonly OriginSettings[]
  readonly complaints: string[]
}

function complete(parsed: z.output<typeof configSchema>, { environment, origins, complaints }: Completion): Config {
  const { store, network, transfer, images, uploads, sync, imports, schedules, tls } = parsed
  const mount = judgeMountPath(store.mount)
  if (mount.kind === 'refused') complaints.push(`store.mount cannot be used: ${mount.reason}. Choose a folder of its own, such as /srv/slipway.`)
  const state = store.state ?? `/var/lib/slipway/${store.name}`
  if (store.state === undefined && !/^[\w.-]+$/.test(store.name))
    complaints.push(
      `store.state must be given, because the name "${store.name}" cannot be used as a folder name. Set it to a folder such as /var/lib/slipway/edge-a.`,
    )
  const mountPath = mount.kind === 'accepted' ? mount.path : store.mount
  if (`${state}/`.startsWith(`${mountPath}/`))
    complaints.push(
      `store.state "${state}" is on the mount path "${mountPath}". Choose a folder on a local disk: the index database must not be on the mount path.`,
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
      maxBytesPerOwner: images['max-bytes-per-owner'],
      pricePerGbMonth: images['price-per-gb-month'],
      enabled: images.enabled,
      installationRole: images['installation-images'],
      kinds: [...new Set(images.kinds)],
    },
    uploads: { expiryMs: uploads.expiry, lengthMax: uploads['max-length'], origins: uploads.origins },
    sync: { peers: sync.peers, bytesPerSecond: sync['bytes-per-second'], hours: sync.hours },
    origins,
    imports: { roots: importRoots(imports.roots, state, complaints), allow: imports.allow, inboxSettleMs: imports.inbox ? imports['inbox-settle'] : undefined },
    schedules,
    tls: tls.cert === '' ? undefined : tls,
    process: readProcessSettings(environment, complaints),
  }
}

/** Resolves the folders of imports by path. A folder of the system is refused, and so is one through which the agent's own state could be read. */
function importRoots(paths: readonly string[], state: string, complaints: string[]): ImportRoot[] {
  return paths.map((path) => {
    const verdict = judgeMountPath(path)
    if (verdict.kind === 'refused') {
      complaints.push(`imports.roots cannot contain "${path}": ${verdict.reason}. Choose a folder that has nothing but images, such as /srv/images.`)
      return { path, real: path }
    }
    const real = verdict.path
    if (`${state}/`.startsWith(`${real}/`) || `${real}/`.startsWith(`${state}/`))
      complaints.push(
        `imports.roots cannot contain "${path}": tokens and keys of the agent are in store.state "${state}". Choose a folder that has nothing but images.`,
      )
    return { path: normalize(path).replace(/(.)\/+$/, '$1'), real }
  })
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
