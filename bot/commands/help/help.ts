// `help [noun [verb [word]]]`: generated from the table of commands, so it is always complete. A word is a column, a field or a check, and
// `help health` explains the checks of an agent.

import { nearestName } from '../../../protocol/nearest.ts'
import { mayRun } from '../permit.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Field, View } from '../../../protocol/views/view.ts'
import type { Command, CommandContext } from '../command.ts'
import { COMMON_FLAGS, defineCommand, usage } from '../command.ts'
import { CHECK_TERMS } from './terms/checks.ts'
import { findCheck, findTerm, nearestTerm } from './terms/terms.ts'
import type { FoundTerm } from './terms/terms.ts'

/** The word after `help` that stands for the health checks of an agent. */
const HEALTH = 'health'

export const help = defineCommand({
  noun: 'help',
  verb: '',
  summary: 'Lists the commands, or explains one of them, a column of its answer, or a health check',
  role: 'viewer',
  effect: 'read',
  targets: [
    { name: 'NOUN', about: 'store, image, task …, or health for the checks of an agent', subject: 'noun', optional: true },
    { name: 'VERB', about: 'list, show …, or the name of a check', subject: 'verb', optional: true },
    { name: 'WORD', about: 'a column or a field of the answer', subject: 'text', optional: true, many: true },
  ],
  examples: ['help', 'help store', 'help image upload', 'help store list used', 'help health free-space'],
  run(context, { targets }) {
    const [noun, verb, ...words] = targets.map((target) => target.toLowerCase())
    if (noun === HEALTH) return Promise.resolve(checkHelp(context, verb, words))
    const known = context.commands.filter((command) => noun === undefined || command.noun === noun)
    if (known.length === 0) {
      const meant = nearestName(noun ?? '', [...new Set(context.commands.map((command) => command.noun)), HEALTH])
      throw problem('not-found', `There is no command "${noun}".`, { action: meant === undefined ? 'Run help.' : `Did you mean help ${meant}?` })
    }
    if (verb === undefined) return Promise.resolve(overview(context, noun, known))
    const command = known.find((candidate) => candidate.verb === verb)
    if (command) return Promise.resolve(words.length === 0 ? details(context, command) : wordHelp(context, command, words.join(' ')))
    const meant = nearestName(
      verb,
      known.map((candidate) => candidate.verb),
    )
    throw problem('not-found', `${noun} has no command "${verb}".`, {
      action: meant === undefined ? `Run help ${noun}.` : `Did you mean help ${noun} ${meant}?`,
    })
  },
})

/** Explains one check, or lists them all. */
function checkHelp(context: CommandContext, name: string | undefined, words: readonly string[]): View {
  const asOfMs = context.clock.nowMs()
  if (name === undefined) {
    return makeView({
      title: 'Health checks',
      text: 'Each store measures these. help health NAME says what is normal and what to do.',
      columns: [
        { key: 'check', label: 'Check', isWhole: true },
        { key: 'means', label: 'Means' },
      ],
      rows: Object.entries(CHECK_TERMS).map(([check, { means }]) => ({ cells: { check, means } })),
      asOfMs,
      json: { items: Object.entries(CHECK_TERMS).map(([check, term]) => ({ check, ...term })), asOf: formatTime(asOfMs) },
    })
  }
  const found = words.length === 0 ? findCheck(name) : undefined
  if (found) return termView(context, `help health ${name}`, found)
  const asked = [name, ...words].join(' ')
  const meant = nearestName(asked, Object.keys(CHECK_TERMS))
  throw problem('not-found', `There is no check "${asked}".`, {
    action: meant === undefined ? `Use one of: ${Object.keys(CHECK_TERMS).join(', ')}.` : `Did you mean help health ${meant}?`,
  })
}

/** Explains a column or a field of what a command answers. */
function wordHelp(context: CommandContext, { noun, verb }: Command, word: string): View {
  const found = findTerm(noun, verb, word)
  if (found) return termView(context, `help ${noun} ${verb} ${found.label}`, found)
  const meant = nearestTerm(noun, verb, word)
  throw problem('not-found', `${noun} ${verb} shows no column or field "${word}".`, {
    action: meant === undefined ? `Run ${noun} ${verb} and use a word of its answer.` : `Did you mean help ${noun} ${verb} ${meant}?`,
  })
}

function termView(context: CommandContext, title: string, { label, term }: FoundTerm): View {
  const asOfMs = context.clock.nowMs()
  const { means, unit, normal, action } = term
  const fields: Field[] = [
    { label: 'Means', value: means },
    ...(unit === undefined ? [] : [{ label: 'Unit', value: unit }]),
    ...(normal === undefined ? [] : [{ label: 'Normal', value: normal }]),
    ...(action === undefined ? [] : [{ label: 'What to do', value: action }]),
  ]
  return makeView({ title, fields, asOfMs, json: { word: label, ...term, asOf: formatTime(asOfMs) } })
}

function overview(context: CommandContext, noun: string | undefined, commands: readonly Command[]): View {
  const asOfMs = context.clock.nowMs()
  // Commands that the actor may not run are left out.
  const allowed = commands.filter((command) => mayRun(context, command))
  const nouns = [...new Set(allowed.map((command) => command.noun))]
  return makeView({
    title: noun === undefined ? 'Slipway commands' : `Commands of ${noun}`,
    text: 'A noun alone runs its list. help NOUN VERB explains every option, help NOUN VERB COLUMN what a column shows, help health CHECK a check.',
    columns: [
      { key: 'command', label: 'Command' },
      { key: 'about', label: 'What it does' },
    ],
    rows: allowed.map((command) => ({ cells: { command: noun === undefined ? shortUsage(command) : usage(command), about: command.summary } })),
    actions:
      noun === undefined ? nouns.filter((name) => name !== 'help').map((name) => ({ label: `help ${name}`, command: `help ${name}`, role: 'viewer' })) : [],
    asOfMs,
    json: { items: allowed.map(commandJson), asOf: formatTime(asOfMs) },
  })
}

function details(context: CommandContext, command: Command): View {
  const asOfMs = context.clock.nowMs()
  const fields: Field[] = [
    { label: 'Usage', value: usage(command) },
    { label: 'Role', value: `${command.role} or higher${mayRun(context, command) ? '' : '; you do not have it, ask an admin of the bot'}` },
    ...command.targets.map((target) => ({ label: target.name, value: `${target.about}${target.optional ? ' (optional)' : ''}` })),
    ...Object.entries(command.options).map(([key, option]) => ({ label: `${key}=${option.value}`, value: option.about })),
    ...Object.entries(command.flags).map(([flag, about]) => ({ label: `--${flag}`, value: about })),
    ...(command.effect === 'destroy' ? [{ label: '--confirm NAME', value: 'confirms the command without being asked for the name' }] : []),
    ...Object.entries(COMMON_FLAGS).map(([flag, about]) => ({ label: `--${flag}`, value: about })),
    ...command.examples.map((example) => ({ label: 'Example', value: example })),
  ]
  return makeView({
    title: `help ${command.noun} ${command.verb}`.trim(),
    text: `${command.summary}.`,
    fields,
    asOfMs,
    json: { ...commandJson(command), asOf: formatTime(asOfMs) },
  })
}

function shortUsage(command: Command): string {
  const targets = command.targets.map(({ name, many, optional }) => {
    const shown = `${name}${many ? '…' : ''}`
    return optional ? `[${shown}]` : shown
  })
  return [command.noun, command.verb, ...targets].filter((word) => word !== '').join(' ')
}

function commandJson(command: Command): Record<string, unknown> {
  const { noun, verb, summary, role, effect, targets, options, flags, examples } = command
  return { noun, verb, summary, role, effect, usage: usage(command), targets, options, flags, examples }
}
