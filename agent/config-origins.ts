// The stores of `[[origins]]`: stores to heal from. Each is a table with its own keys, so that any number can be named.

import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { errorCode, errorText } from '../protocol/errors.ts'
import { nameSchema } from '../protocol/images/image.ts'
import { suggestName } from '../protocol/nearest.ts'
import { sourceToken, sourceUrl } from '../protocol/sync/sync.ts'
import type { Environment } from './config-process.ts'
import { readValue } from './config-source.ts'
import type { KeyKind, SourceTree } from './config-source.ts'
import type { OriginSettings } from './contract/origins.ts'
import { unreadableReason } from './system/unreadable.ts'

/** Most origins of a store: a slice that no origin has costs a request to each. */
export const ORIGINS_MAX = 16
/** Longest file with a token in bytes. */
const TOKEN_FILE_BYTES_MAX = 4096
const VARIABLE = /^SLIPWAY_ORIGINS_(\d{1,3})_(.+)$/

/** The keys of one origin, and how the environment writes their values. */
export const ORIGIN_KEYS = {
  name: 'text',
  url: 'text',
  token: 'text',
  'token-file': 'text',
} as const satisfies Readonly<Record<string, KeyKind>>

const originSchema = z.object({
  name: nameSchema,
  url: sourceUrl,
  token: sourceToken.optional(),
  'token-file': z
    .string()
    .regex(/^\/[^\u0000]*$/, 'must be an absolute path')
    .optional(),
})

/** Where an origin is written: its number from 1 on, and the text before a key of it in messages. */
interface WrittenOrigin {
  readonly values: Readonly<Record<string, unknown>>
  readonly label: (key: string) => string
}

/**
 * Returns the origins of a configuration. Those of the environment, `SLIPWAY_ORIGINS_1_NAME` and so on, replace all of the file. Adds a sentence to
 * `complaints` for each error. No sentence contains a token.
 */
export function readOrigins(file: SourceTree, name: string, environment: Environment, complaints: string[]): OriginSettings[] {
  const fromEnvironment = originsOf(environment, complaints)
  const written = fromEnvironment.length > 0 ? fromEnvironment : (file.tables['origins'] ?? []).map((values, i) => inFile(values, name, i + 1))
  if (written.length > ORIGINS_MAX) {
    complaints.push(`${name}: there are ${written.length} origins; a store can have at most ${ORIGINS_MAX}. Remove some and start again.`)
    return []
  }
  const origins: OriginSettings[] = []
  for (const one of written) {
    const origin = readOrigin(one, complaints)
    if (!origin) continue
    if (origins.some((other) => other.name === origin.name))
      complaints.push(`${one.label('name')} is the name of another origin. Give each origin a name of its own and start again.`)
    origins.push(origin)
  }
  return origins
}

function inFile(values: Readonly<Record<string, unknown>>, name: string, number: number): WrittenOrigin {
  return { values, label: (key) => `${name}: origins.${key} of origin ${number}` }
}

/** Collects the variables of origins by their number. */
function originsOf(environment: Environment, complaints: string[]): WrittenOrigin[] {
  const byNumber = new Map<number, Record<string, unknown>>()
  for (const [variable, text] of Object.entries(environment)) {
    const [, number, rest = ''] = VARIABLE.exec(variable) ?? []
    if (number === undefined || text === undefined) {
      if (variable.startsWith('SLIPWAY_ORIGINS_'))
        complaints.push(`The environment variable ${variable} is not a known key; origins are numbered, as in SLIPWAY_ORIGINS_1_NAME.`)
      continue
    }
    const key = rest.toLowerCase().replaceAll('_', '-')
    const kind = (ORIGIN_KEYS as Readonly<Record<string, KeyKind>>)[key]
    if (kind === undefined) {
      const offer = suggestName(key, Object.keys(ORIGIN_KEYS), (found) => `SLIPWAY_ORIGINS_${number}_${found.toUpperCase().replaceAll('-', '_')}`)
      complaints.push(`The environment variable ${variable} is not a known key${offer}`)
      continue
    }
    byNumber.set(Number(number), { ...byNumber.get(Number(number)), [key]: readValue(kind, text) })
  }
  return [...byNumber]
    .toSorted(([a], [b]) => a - b)
    .map(([number, values]) => ({ values, label: (key) => `SLIPWAY_ORIGINS_${number}_${key.toUpperCase().replaceAll('-', '_')}` }))
}

function readOrigin({ values, label }: WrittenOrigin, complaints: string[]): OriginSettings | undefined {
  const parsed = originSchema.safeParse(values)
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      const key = String(path[0] ?? '')
      const isMissing = values[key] === undefined
      complaints.push(
        `${label(key)} ${isMissing ? 'is missing' : message.replace(/^Invalid input: expected/, 'is wrong: expected')}. Correct it and start again.`,
      )
    }
    return undefined
  }
  const { name, url, token, 'token-file': tokenFile } = parsed.data
  if ((token === undefined) === (tokenFile === undefined)) {
    complaints.push(`${label('token')} and token-file: set exactly one of them to a viewer token of that store.`)
    return undefined
  }
  const secret = token ?? readTokenFile(tokenFile ?? '', label('token-file'), complaints)
  return secret === undefined ? undefined : { name, url, token: secret }
}

function readTokenFile(path: string, label: string, complaints: string[]): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const reason = unreadableReason(path)
    complaints.push(`${label} "${path}" cannot be read: ${reason ?? `${errorCode(error) ?? errorText(error)}. Name a readable file.`}`)
    return undefined
  }
  const token = sourceToken.safeParse(bytes.byteLength > TOKEN_FILE_BYTES_MAX ? '' : bytes.toString('utf8').trim())
  if (!token.success) complaints.push(`${label} "${path}" does not hold a token: 1 to 512 printable ASCII characters without spaces. Write the token into it.`)
  return token.data
}
