// Completion: nouns, verbs, options, and the names of stores, zones, images and schedules.

import type { Command, CommandContext } from '../commands/command.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import { COMMON_FLAGS } from '../commands/command.ts'
import { splitLine } from '../commands/line.ts'
import { quoteWord } from '../views/quote.ts'
import { plainText } from '../../protocol/views/phrases.ts'

/** Time for which names of images are cached, and time that an answer may take, in milliseconds. */
const IMAGES_FRESH_MS = 15_000
const IMAGES_TIMEOUT_MS = 1_500
const IMAGES_MAX = 500

/** Returns what may complete the last word of a line. */
export type Completer = (line: string) => Promise<{ readonly hits: string[]; readonly word: string }>

export function createCompleter(context: CommandContext): Completer {
  const known = new Map<'listed' | 'bin', { readonly atMs: number; readonly names: string[] }>()

  const imageNames = async (shelf: 'listed' | 'bin'): Promise<string[]> => {
    const now = context.clock.nowMs()
    const kept = known.get(shelf)
    if (kept && now - kept.atMs < IMAGES_FRESH_MS) return kept.names
    const signal = AbortSignal.timeout(IMAGES_TIMEOUT_MS)
    const query = { limit: IMAGES_MAX, signal, ...(shelf === 'bin' ? { status: 'deleted' as const } : {}) }
    try {
      const contacts = await context.fleet.contactAll(context.fleet.registry.list(), (agent) => agent.images.list(query))
      const names = [...new Set(contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.items.map((image) => image.name) : [])))]
      known.set(shelf, { atMs: now, names })
      return names
    } catch {
      // Too slow to wait for at the keyboard; the next attempt asks again.
      return []
    }
  }

  const namesOf = async (subject: Subject | undefined, zone: string | undefined): Promise<string[]> => {
    const stores = context.fleet.registry.list().filter((store) => zone === undefined || context.zones.serves(store, zone))
    switch (subject) {
      case 'policy':
        return context.policies.list().map((policy) => policy.name)
      case 'store':
        return stores.map((store) => store.name)
      case 'zone':
        return context.zones.list().map((zone) => zone.name)
      case 'image':
        return imageNames('listed')
      case 'deleted-image':
        return imageNames('bin')
      case 'any-image':
        return [...new Set((await Promise.all([imageNames('listed'), imageNames('bin')])).flat())]
      case 'schedule':
        return ['cleanup', 'scrub', 'expire']
      case 'noun':
        return nounsOf(context.commands)
      case 'verb':
        return [...new Set(context.commands.map((command) => command.verb))]
      case 'task':
      case 'upload':
      case 'path':
      case 'text':
      case undefined:
        return []
    }
  }

  return async (line) => {
    const words = (splitLine(line) ?? []).map((word) => word.text)
    const isNewWord = line === '' || /\s$/.test(line)
    const word = isNewWord ? '' : (/\S*$/.exec(line)?.[0] ?? '')
    const before = isNewWord ? words : words.slice(0, -1)
    const all = await candidates(context.commands, before, word, namesOf)
    // Names come from agents, and readline writes its suggestions to the terminal unescaped.
    return { hits: all.filter((name) => name.startsWith(word) && plainText(name) === name).map((name) => (name.endsWith('=') ? name : `${name} `)), word }
  }
}

async function candidates(
  commands: readonly Command[],
  before: readonly string[],
  word: string,
  namesOf: (subject: Subject | undefined, zone: string | undefined) => Promise<string[]>,
): Promise<string[]> {
  const [noun, verb, ...rest] = before
  if (noun === undefined) return nounsOf(commands)
  const ofNoun = commands.filter((command) => command.noun === noun)
  const single = ofNoun.length === 1 && ofNoun[0]?.verb === '' ? ofNoun[0] : undefined
  if (!single && verb === undefined) return ofNoun.map((command) => command.verb)
  const command = single ?? ofNoun.find((candidate) => candidate.verb === verb)
  if (!command) return []
  const taken = single ? before.slice(1) : rest
  // Stores outside the zone of the command are not offered.
  const zone = command.options['zone'] && taken.findLast((one) => one.startsWith('zone='))?.slice('zone='.length)
  const option = /^([a-zA-Z-]+)=(.*)$/.exec(word)
  if (option) {
    const key = option[1] ?? ''
    const done = (option[2] ?? '').split(',').slice(0, -1)
    const names = await namesOf(command.options[key]?.subject, zone)
    return names.map((name) => `${key}=${[...done, quoteWord(name)].join(',')}`)
  }
  if (word.startsWith('--')) {
    return [...Object.keys(command.flags), ...Object.keys(COMMON_FLAGS), ...(command.effect === 'destroy' ? ['confirm'] : [])].map((flag) => `--${flag}`)
  }
  const targetsTaken = taken.filter((one) => !one.includes('=') && !one.startsWith('--')).length
  const target = command.targets[targetsTaken] ?? (command.targets.at(-1)?.many ? command.targets.at(-1) : undefined)
  const names = await namesOf(target?.subject, zone)
  const options = Object.keys(command.options).filter((key) => !taken.some((one) => one.startsWith(`${key}=`)))
  return [...names.map(quoteWord), ...options.map((key) => `${key}=`)]
}

function nounsOf(commands: readonly Command[]): string[] {
  return [...new Set(commands.map((command) => command.noun))]
}
