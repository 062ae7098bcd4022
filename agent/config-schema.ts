// The schema of the configuration file: sections, keys, defaults, and the check of each value.

import { BlockList, isIP } from 'node:net'
import { Cron } from 'croner'
import { z } from 'zod'
import { imageKindSchema, nameSchema } from '../protocol/images/image.ts'
import { parseDuration, parseSize } from '../protocol/units.ts'
import { parseSyncHours, SYNC_HOURS_MAX, SYNC_RATE_MAX, SYNC_RATE_MIN } from '../protocol/sync/sync-limits.ts'
import { decimalSchema } from '../protocol/images/usage.ts'
import type { KeyKind, KnownKeys } from './config-source.ts'
import { isAllowance } from './imports/address-guard.ts'
import { isPeer } from './sync/peer-network.ts'

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
const syncRate = size.refine(
  (bytes) => bytes === 0 || (bytes >= SYNC_RATE_MIN && bytes <= SYNC_RATE_MAX),
  'must be "0" for no limit, or from "64 KiB" to "1 TB"; write it like "10 MB"',
)
const syncWindow = z.string().transform((text, context) => {
  const window = parseSyncHours(text)
  if (!window || !isCron(window.cron)) context.addIssue({ code: 'custom', message: notAWindow(text) })
  return window ?? z.NEVER
})

/** Says what is wrong with a window. Two of them in one text were separated by a comma. */
function notAWindow(text: string): string {
  const advice = text.split(/\bfor\b/).length > 2 ? '; in an environment variable, semicolons separate windows' : ''
  return `"${text}" is not a window; write it like "0 22 * * * for 8h"${advice}`
}

const peer = z
  .string()
  .refine(isPeer, 'must be a list of networks, addresses and host names; write them like "10.20.0.0/16" or "hub.example", without scheme and port')
const allowance = z
  .string()
  .refine(
    isAllowance,
    'must be a list of networks, addresses and host names, each with or without a port; write them like "10.20.0.0/16" or "mirror.example:8080"',
  )
const imageKind = z.enum(imageKindSchema.options, `must be a list of kinds of images: ${imageKindSchema.options.join(', ')}`)
const concurrency = z.int('must be a whole number from 1 to 16').min(1, 'must be a whole number from 1 to 16').max(16, 'must be a whole number from 1 to 16')

const listen = z.string().transform((text, context) => {
  const address = parseListen(text)
  if (!address) context.addIssue({ code: 'custom', message: `"${text}" is not an address; write it like "127.0.0.1:8420" or "[::1]:8420"` })
  return address ?? z.NEVER
})

export const configSchema = z.object({
  store: z.object({
    name: nameSchema.default('edge-a'),
    description: z.string().max(4096).default(''),
    mount: absolutePath.default('/srv/slipway'),
    zone: nameSchema.default('zone-1'),
    scope: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a word of lower-case letters, such as "zone"')
      .default('zone'),
    reserved: size.default(1_000_000_000),
    /** Defaults to /var/lib/slipway/<name>. */
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
    'max-bytes-per-owner': size.default(0),
    'price-per-gb-month': z.union([z.literal(''), decimalSchema], 'must be a decimal number such as "0.05", or empty').default(''),
    enabled: z.boolean().default(true),
    /** Lowest role that may add installation images (ISO). */
    'installation-images': z.enum(['uploader', 'operator', 'admin']).default('admin'),
    /** Kinds of images that the store takes; none for all. */
    kinds: z.array(imageKind).default([]),
  }),
  uploads: z.object({ expiry: duration.default(86_400_000), 'max-length': size.default(16_000_000_000_000), origins: z.array(origin).default([]) }),
  sync: z.object({ peers: z.array(peer).default([]), 'bytes-per-second': syncRate.default(0), hours: z.array(syncWindow).max(SYNC_HOURS_MAX).default([]) }),
  imports: z.object({
    roots: z.array(absolutePath).default([]),
    allow: z.array(allowance).default([]),
    inbox: z.boolean().default(true),
    'inbox-settle': duration.default(10_000),
  }),
  schedules: z.object({
    cleanup: cron.default('17 3 * * *'),
    scrub: cron.default('41 1 * * 0'),
    expire: cron.default('*/10 * * * *'),
    timezone: z.string().refine(isTimezone, 'is not a time zone; write it like "UTC" or "Europe/Berlin"').default('UTC'),
  }),
  tls: z.object({ cert: z.string().default(''), key: z.string().default('') }),
})

/** Every key, and how its value is written in the environment. */
export const KNOWN_KEYS = {
  store: { name: 'text', description: 'text', mount: 'text', zone: 'text', scope: 'text', reserved: 'text', state: 'text' },
  network: { listen: 'text', data: 'text', sync: 'text', 'plain-http': 'flag' },
  transfer: { 'upload-concurrency': 'number', 'download-concurrency': 'number' },
  images: {
    'retrieve-existing': 'flag',
    deletion: 'text',
    retention: 'text',
    'max-per-owner': 'number',
    'max-bytes-per-owner': 'text',
    'price-per-gb-month': 'text',
    enabled: 'flag',
    'installation-images': 'text',
    kinds: 'list',
  },
  uploads: { expiry: 'text', 'max-length': 'text', origins: 'list' },
  sync: { peers: 'list', 'bytes-per-second': 'text', hours: 'windows' },
  imports: { roots: 'list', allow: 'list', inbox: 'flag', 'inbox-settle': 'text' },
  schedules: { cleanup: 'text', scrub: 'text', expire: 'text', timezone: 'text' },
  tls: { cert: 'text', key: 'text' },
} satisfies { [Section in keyof z.input<typeof configSchema>]: { [Key in keyof z.input<typeof configSchema>[Section]]-?: KeyKind } } & KnownKeys

export interface ListenAddress {
  readonly host: string
  /** 0 lets the kernel choose a port. */
  readonly port: number
}

/** Returns host and port of `127.0.0.1:8420`, `[::1]:8420` or `name:8420`; undefined for other text. */
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

/** Returns whether a text is an origin as browsers send it in the header Origin (RFC 6454 §6.2): nothing follows host and port. */
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
