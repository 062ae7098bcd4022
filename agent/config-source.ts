// Reads the sources of the configuration, a TOML file and the environment, into trees of sections and keys. Refuses unknown names and
// suggests the nearest known one.

import { parse, TomlError } from 'smol-toml'
import { suggestName } from '../protocol/nearest.ts'

/**
 * How the environment writes the value of a key. `windows` is a list with semicolons between its items, because cron expressions have commas. The key
 * determines the TOML type, because the text alone does not.
 */
export type KeyKind = 'text' | 'number' | 'flag' | 'list' | 'windows'

/** The known keys of each section. */
export type KnownKeys = Readonly<Record<string, Readonly<Record<string, KeyKind>>>>

/** Sections and keys with their values as written, and one sentence for each error. */
export interface SourceTree {
  readonly values: Record<string, Record<string, unknown>>
  /** Tables of the sections that may occur several times. */
  readonly tables: Record<string, readonly Record<string, unknown>[]>
  readonly complaints: readonly string[]
}

/** Reads TOML text. The sentences call the file `name`. The sections of `repeated` are arrays of tables. */
export function readToml(text: string, name: string, known: KnownKeys, repeated: KnownKeys = {}): SourceTree {
  let document: Record<string, unknown>
  try {
    document = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const reason = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') ?? 'it cannot be read'
    return {
      values: {},
      tables: {},
      complaints: [`${name}, line ${error.line}, column ${error.column}: this is not valid TOML: ${reason}. Correct the line and start again.`],
    }
  }
  const values: SourceTree['values'] = {}
  const tables: SourceTree['tables'] = {}
  const complaints: string[] = []
  for (const [section, content] of Object.entries(document)) {
    const keys = known[section]
    const keysOfEach = repeated[section]
    if (keysOfEach) {
      if (!Array.isArray(content) || !content.every(isTable)) {
        complaints.push(`${name}: "${section}" must be written as [[${section}]], once for each of them.`)
        continue
      }
      for (const key of new Set(content.flatMap((table) => Object.keys(table)))) {
        if (!(key in keysOfEach))
          complaints.push(`${name}: ${section}.${key} is not a known key${suggestName(key, Object.keys(keysOfEach), (found) => `${section}.${found}`)}`)
      }
      tables[section] = content
    } else if (!keys && Array.isArray(content) && content.length > 0 && content.every(isTable)) {
      complaints.push(`${name}: the section [[${section}]] is not known${suggestName(section, Object.keys(repeated), (found) => `[[${found}]]`)}`)
    } else if (!isTable(content)) {
      const home = Object.keys(known).find((candidate) => section in (known[candidate] ?? {}))
      const hint = home ? ` It belongs below [${home}].` : ` Sections are ${Object.keys(known).join(', ')}.`
      complaints.push(`${name}: "${section}" is outside of a section.${hint}`)
    } else if (!keys) {
      complaints.push(
        `${name}: the section [${section}] is not known${suggestName(section, [...Object.keys(known), ...Object.keys(repeated)], (found) => (found in repeated ? `[[${found}]]` : `[${found}]`))}`,
      )
    } else {
      for (const key of Object.keys(content)) {
        if (!(key in keys))
          complaints.push(`${name}: ${section}.${key} is not a known key${suggestName(key, Object.keys(keys), (found) => `${section}.${found}`)}`)
      }
      values[section] = content
    }
  }
  return { values, tables, complaints }
}

/** Reads the variables `SLIPWAY_<SECTION>_<KEY>`. Dashes in keys become underscores; commas separate the items of a list, semicolons windows. */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>, known: KnownKeys): SourceTree {
  const values: SourceTree['values'] = {}
  const complaints: string[] = []
  for (const [variable, text] of Object.entries(environment)) {
    const section = Object.keys(known).find((candidate) => variable.startsWith(`SLIPWAY_${candidate.toUpperCase()}_`))
    if (section === undefined || text === undefined) continue
    const keys = known[section] ?? {}
    const key = variable.slice(`SLIPWAY_${section}_`.length).toLowerCase().replaceAll('_', '-')
    const kind = keys[key]
    if (kind === undefined) {
      const offer = suggestName(key, Object.keys(keys), (found) => environmentName(section, found))
      complaints.push(`The environment variable ${variable} is not a known key${offer}`)
      continue
    }
    values[section] = { ...values[section], [key]: readValue(kind, text) }
  }
  return { values, tables: {}, complaints }
}

/** Returns the variable of a key. */
export function environmentName(section: string, key: string): string {
  return `SLIPWAY_${section}_${key}`.toUpperCase().replaceAll('-', '_')
}

/** Converts the text of a variable to the type that TOML would return. Text of another type stays text, and the schema refuses it. */
export function readValue(kind: KeyKind, text: string): unknown {
  switch (kind) {
    case 'text':
      return text
    case 'number':
      return /^-?\d+$/.test(text.trim()) ? Number(text) : text
    case 'flag':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'list':
      return itemsOf(text, ',')
    case 'windows':
      return itemsOf(text, ';')
  }
}

function itemsOf(text: string, separator: string): string[] {
  return text
    .split(separator)
    .map((item) => item.trim())
    .filter(Boolean)
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}
