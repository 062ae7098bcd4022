// Addresses and forms of commands: `/c/store/browse/edge-a/images?…` and the fields of a form become the words of a line, and a line becomes an address with fields.
// The parser of the console reads the words, so a page understands and refuses exactly what the console does.

import type { Command, CommandInput } from '../commands/command.ts'
import type { Word } from '../commands/line.ts'
import { parseLine } from '../commands/run.ts'
import { parseWords } from '../commands/parse.ts'
import type { Parsed } from '../commands/parse.ts'
import { CONFIRM_FIELD } from '../../protocol/views/html/forms.tsx'
import type { PostTarget } from '../../protocol/views/html/html.ts'
import { decoded } from './place-at.ts'

/** Name of the field with the fingerprint of the plan that was shown. */
const PLAN_FIELD = '_plan'

/** What a request gives a command. */
export interface CommandRequest {
  readonly command: Command
  /** Targets in the address. */
  readonly targets: readonly string[]
  /** Fields of the query or the form; those that begin with an underscore and are not known here belong to the page. */
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/** Finds the command of an address; its targets are the rest of the address. */
function findCommand(commands: readonly Command[], words: readonly string[]): Pick<CommandRequest, 'command' | 'targets'> | undefined {
  const [noun = '', verb = '', ...rest] = words
  const named = commands.find((command) => command.noun === noun && command.verb === verb && verb !== '')
  if (named) return { command: named, targets: rest }
  const bare = commands.find((command) => command.noun === noun && command.verb === '')
  if (bare) return bare.targets.length > 0 || verb === '' ? { command: bare, targets: words.slice(1) } : undefined
  const list = verb === '' ? commands.find((command) => command.noun === noun && command.verb === 'list') : undefined
  return list && { command: list, targets: [] }
}

/** What a request gives a command; undefined when its address names none. Parts of an address are decoded one by one: a slash may belong to a target. */
export function requestAt(commands: readonly Command[], pathname: string, fields: CommandRequest['fields']): CommandRequest | undefined {
  if (!pathname.startsWith('/c/')) return undefined
  const words: string[] = []
  for (const part of pathname.split('/').slice(2)) {
    if (part === '') continue
    const word = decoded(part)
    if (word === undefined) return undefined
    words.push(word)
  }
  const found = findCommand(commands, words)
  return found && { ...found, fields }
}

/** The targets of a request: those of the address, then those of the form, whose fields have the names of the targets. A field for several takes one in a line. */
export function targetsOf({ command, targets, fields }: CommandRequest): string[] {
  const rest = command.targets.slice(targets.length).flatMap(({ name, many }) => {
    const values = fields.flatMap(([field, value]) => (field === name ? [value] : []))
    return (many ? values.flatMap((value) => value.split('\n')) : values).map((value) => value.trim())
  })
  return [...targets, ...rest].filter((target) => target !== '')
}

/** Parses a request. A field without a value is one that was left empty, and is not given. */
export function parseRequest(commands: readonly Command[], request: CommandRequest): Parsed {
  const { command, fields } = request
  const words: Word[] = [command.noun, ...(command.verb === '' ? [] : [command.verb])].map((text) => ({ text, literal: false }))
  words.push(...targetsOf(request).map((text) => ({ text, literal: true })))
  for (const [name, value] of fields) {
    if (name.startsWith('_') || value === '' || command.targets.some((target) => target.name === name)) continue
    const given = command.options[name]?.isMany ? value.split(/\r?\n/).filter(Boolean).join(',') : value
    if (!name.startsWith('--')) words.push({ text: `${name}=${given}`, literal: false })
    else if (value !== 'false') words.push({ text: name, literal: false })
  }
  const typed = fields.find(([name]) => name === CONFIRM_FIELD)?.[1].trim() ?? ''
  const plan = fields.find(([name]) => name === PLAN_FIELD)?.[1] ?? ''
  if (typed !== '') words.push({ text: '--confirm', literal: false }, { text: typed, literal: true })
  if (plan !== '') words.push({ text: `--plan=${plan}`, literal: false })
  return parseWords(commands, words)
}

/** The address of a command with its targets. A target that an address cannot have is a field of the query. */
export function pathOf(command: Pick<Command, 'noun' | 'verb' | 'targets'>, targets: readonly string[]): string {
  const count = targets.findIndex((target) => target === '.' || target === '..')
  const inPath = count < 0 ? targets : targets.slice(0, count)
  const path = ['/c', command.noun, command.verb, ...inPath].filter((part) => part !== '').map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
  const nameAt = (index: number): string => (command.targets[index] ?? command.targets.at(-1))?.name ?? ''
  const rest = targets.slice(inPath.length).map((target, i): [string, string] => [nameAt(inPath.length + i), target])
  return path.join('/') + (rest.length === 0 ? '' : `?${new URLSearchParams(rest).toString()}`)
}

/** The fields with which a form gives these options, flags and the plan. */
function fieldsOf({ options, flags, plan }: CommandInput): [string, string][] {
  return [
    ...Object.entries(options).map(([key, value]): [string, string] => [key, value ?? '']),
    ...[...flags].map((flag): [string, string] => [`--${flag}`, 'true']),
    ...(plan === undefined ? [] : [[PLAN_FIELD, plan] satisfies [string, string]]),
  ]
}

/** The address that runs, or asks for, a command with this input. */
export function hrefOf(command: Command, input: CommandInput): string {
  const path = pathOf(command, input.targets)
  const fields = fieldsOf(input)
  if (fields.length === 0) return path
  return `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(fields).toString()}`
}

/** The address of the series that a command with this input draws. */
export function seriesHrefOf(command: Command, input: CommandInput): string {
  return hrefOf(command, input).replace(/^\/c\//, '/series/')
}

/** What the form of a command line sends. Undefined when the line lacks input that is no target, which its form asks for. */
export function postOf(commands: readonly Command[], line: string): PostTarget | undefined {
  const parsed = parseLine({ commands }, line)
  if (parsed.kind === 'unclear') return undefined
  return { path: pathOf(parsed.command, parsed.input.targets), fields: fieldsOf(parsed.input) }
}
