// Parses words into a command and its input. A word that is not known is answered with the nearest one that is.

import { nearestName } from '../../protocol/nearest.ts'
import type { Command, CommandInput, TargetSpec } from './command.ts'
import { COMMON_FLAGS, usage } from './command.ts'
import { quoteOption, quoteWord } from '../views/quote.ts'
import type { Word } from './line.ts'

export type Parsed =
  | { readonly kind: 'command'; readonly command: Command; readonly input: CommandInput; readonly common: ReadonlySet<string> }
  | {
      readonly kind: 'unclear'
      readonly detail: string
      readonly action: string
      readonly suggestion: string | undefined
      readonly common: ReadonlySet<string>
      /** The command whose next target is missing. */
      readonly lacks?: Lack
    }

/** A line whose command was understood and lacks a target. */
export interface Lack {
  readonly command: Command
  readonly target: TargetSpec
  /** What was given. */
  readonly input: CommandInput
  /** The line as it was understood, to which the target can be added. */
  readonly line: string
}

/** Parses words by the table of commands. A noun alone runs its list; no words, `--help` and `-h` print help. */
export function parseWords(commands: readonly Command[], words: readonly Word[]): Parsed {
  const common = new Set<string>()
  const rest = words.filter((word) => {
    const flag = word.literal || !word.text.startsWith('--') ? undefined : word.text.slice(2)
    if (flag === undefined || !(flag in COMMON_FLAGS)) return true
    common.add(flag)
    return false
  })
  if (rest.some(isHelpFlag)) return parseWords(commands, helpWords(words))
  const unclear = (detail: string, action: string, suggestion?: string): Parsed => ({ kind: 'unclear', detail, action, suggestion, common })

  const noun = rest[0]?.text.toLowerCase() ?? 'help'
  const ofNoun = commands.filter((command) => command.noun === noun)
  if (ofNoun.length === 0) {
    const nouns = [...new Set(commands.map((command) => command.noun))]
    const meant = nearestName(noun, nouns)
    const suggestion = meant === undefined ? undefined : [meant, ...respelledVerb(commands, meant, rest.slice(1))].join(' ')
    return unclear(
      `There is no command "${rest[0]?.text ?? ''}".`,
      meant === undefined ? `Use one of: ${nouns.join(', ')}.` : `Did you mean ${meant}?`,
      suggestion,
    )
  }

  const only = ofNoun.length === 1 && ofNoun[0]?.verb === '' ? ofNoun[0] : undefined
  const second = rest[1]
  const verb = second === undefined || isOption(second) || second.text.startsWith('--') ? undefined : second.text.toLowerCase()
  const bare = ofNoun.some((candidate) => candidate.verb === '') ? '' : 'list'
  const command = only ?? ofNoun.find((candidate) => candidate.verb === (verb ?? bare))
  if (!command) {
    const verbs = ofNoun.map((candidate) => candidate.verb).filter((name) => name !== '')
    const meant = verb === undefined ? undefined : nearestName(verb, verbs)
    const suggestion = meant === undefined ? undefined : [noun, meant, ...rest.slice(2).map(respell)].join(' ')
    return unclear(
      `${noun} has no command "${second?.text ?? 'list'}".`,
      meant === undefined ? `Use one of: ${verbs.join(', ')}.` : `Did you mean ${noun} ${meant}?`,
      suggestion,
    )
  }
  const taken = only || verb === undefined ? 1 : 2
  const result = readInput(command, rest.slice(taken))
  if ('detail' in result) {
    const { detail, action, lacks } = result
    if (!lacks) return unclear(detail, action)
    const line = [command.noun, command.verb, ...rest.slice(taken).map(respell)].filter((word) => word !== '').join(' ')
    return { kind: 'unclear', detail, action, suggestion: undefined, common, lacks: { command, ...lacks, line } }
  }
  return { kind: 'command', command, input: result, common }
}

function isHelpFlag(word: Word): boolean {
  return !word.literal && (word.text === '--help' || word.text === '-h')
}

/** Turns `store list --help` into `help store list`: noun, verb and the flags that every command has. */
function helpWords(words: readonly Word[]): Word[] {
  const named = words.filter((word) => !word.text.startsWith('-') && !isOption(word)).slice(0, 2)
  const common = words.filter((word) => word.text.slice(2) in COMMON_FLAGS && word.text.startsWith('--'))
  return [{ text: 'help', literal: false }, ...(named[0]?.text === 'help' ? named.slice(1) : named), ...common]
}

/** The words after a corrected noun, with the verb corrected as well. */
function respelledVerb(commands: readonly Command[], noun: string, [verb, ...rest]: readonly Word[]): string[] {
  if (!verb) return []
  const verbs = commands.filter((command) => command.noun === noun).map((command) => command.verb)
  const meant = verbs.includes(verb.text) || isOption(verb) ? undefined : nearestName(verb.text, verbs)
  return [meant ?? respell(verb), ...rest.map(respell)]
}

/** Spells a word so that a line with it is split into the same word again. */
function respell({ text, literal }: Word): string {
  const [key, value] = splitOnce(text, '=')
  if (!literal && value && /^(?:--)?[a-zA-Z][\w-]*$/.test(key)) return quoteOption(key, value)
  return !literal && (text.startsWith('--') || text.endsWith('=')) ? text : quoteWord(text)
}

function isOption(word: Word): boolean {
  return !word.literal && /^[a-z][a-zA-Z0-9-]*=/.test(word.text)
}

interface Refused {
  readonly detail: string
  readonly action: string
  readonly lacks?: { readonly target: TargetSpec; readonly input: CommandInput }
}

function readInput(command: Command, words: readonly Word[]): CommandInput | Refused {
  const targets: string[] = []
  const options: Record<string, string> = {}
  const flags = new Set<string>()
  const confirm: string[] = []
  let plan: string | undefined
  const spelled = `${command.noun} ${command.verb}`.trim()
  const see = `Usage: ${usage(command)}`

  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    if (!word) continue
    if (!word.literal && word.text.startsWith('--')) {
      const [flag, inline] = splitOnce(word.text.slice(2), '=')
      // A script may add --confirm to every write; commands that delete nothing ignore it.
      if (flag === 'confirm' && command.effect !== 'read') {
        const name = inline ?? words[++i]?.text
        if (name === undefined || name === '') return { detail: '--confirm needs the name.', action: see }
        confirm.push(name)
      } else if (flag === 'plan' && command.effect !== 'read' && inline !== undefined) plan = inline
      else if (flag in command.flags && inline === undefined) flags.add(flag)
      else if (flag in command.options) {
        const value = inline ?? command.options[flag]?.bare ?? words[++i]?.text
        if (value === undefined) return { detail: `--${flag} needs a value.`, action: see }
        options[flag] = value
      } else return { detail: `${spelled} has no flag --${flag}.`, action: hint(flag, flagsOf(command), '--', see) }
      continue
    }
    if (isOption(word)) {
      const [key, value = ''] = splitOnce(word.text, '=')
      if (key in command.flags && (value === 'true' || value === 'false')) {
        if (value === 'true') flags.add(key)
        continue
      }
      if (!(key in command.options)) return { detail: `${spelled} has no option ${key}=.`, action: hint(key, Object.keys(command.options), '', see) }
      if (key in options) return { detail: `${key}= is given twice.`, action: see }
      options[key] = value
      continue
    }
    targets.push(word.text)
  }

  const many = command.targets.some((target) => target.many)
  const needed = command.targets.filter((target) => !target.optional)
  if (targets.length < needed.length) {
    const missing = needed[targets.length]
    const detail = `${spelled} needs ${missing?.name ?? 'a target'}: ${missing?.about ?? ''}.`
    return { detail, action: see, ...(missing ? { lacks: { target: missing, input: { targets, options, flags, confirm, plan } } } : {}) }
  }
  if (!many && targets.length > command.targets.length) {
    return {
      detail: `${spelled} does not take "${targets[command.targets.length] ?? ''}".`,
      action: `${see}. Put quotes around a name with spaces.`,
    }
  }
  return { targets, options, flags, confirm, plan }
}

function flagsOf({ flags, effect }: Command): string[] {
  return [...Object.keys(flags), ...Object.keys(COMMON_FLAGS), ...(effect === 'destroy' ? ['confirm'] : [])]
}

function hint(text: string, names: readonly string[], prefix: string, see: string): string {
  const meant = nearestName(text, names)
  return meant === undefined ? see : `Did you mean ${prefix}${meant}${prefix === '' ? '=' : ''}? ${see}`
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}
