// `help [noun [verb]]`: generated from the table of commands, so it is always complete.

import { nearestName } from '../../../protocol/nearest.ts'
import { mayRun } from '../../access/permit.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../views/view.ts'
import type { Field, View } from '../../views/view.ts'
import type { Command, CommandContext } from '../command.ts'
import { COMMON_FLAGS, defineCommand, usage } from '../command.ts'

export const help = defineCommand({
  noun: 'help',
  verb: '',
  summary: 'Lists the commands, or explains one of them',
  role: 'viewer',
  effect: 'read',
  targets: [
    { name: 'NOUN', about: 'store, image, task …', subject: 'noun', optional: true },
    { name: 'VERB', about: 'list, show …', subject: 'verb', optional: true },
  ],
  examples: ['help', 'help store', 'help image upload'],
  run(context, { targets }) {
    const [noun, verb] = targets.map((target) => target.toLowerCase())
    const known = context.commands.filter((command) => noun === undefined || command.noun === noun)
    if (known.length === 0) {
      const meant = nearestName(noun ?? '', [...new Set(context.commands.map((command) => command.noun))])
      throw problem('not-found', `There is no command "${noun}".`, { action: meant === undefined ? 'Run help.' : `Did you mean help ${meant}?` })
    }
    if (verb === undefined) return Promise.resolve(overview(context, noun, known))
    const command = known.find((candidate) => candidate.verb === verb)
    if (command) return Promise.resolve(details(context, command))
    const meant = nearestName(
      verb,
      known.map((candidate) => candidate.verb),
    )
    throw problem('not-found', `${noun} has no command "${verb}".`, {
      action: meant === undefined ? `Run help ${noun}.` : `Did you mean help ${noun} ${meant}?`,
    })
  },
})

function overview(context: CommandContext, noun: string | undefined, commands: readonly Command[]): View {
  const asOfMs = context.clock.nowMs()
  // Commands that the actor may not run are left out.
  const allowed = commands.filter((command) => mayRun(context, command))
  const nouns = [...new Set(allowed.map((command) => command.noun))]
  return makeView({
    title: noun === undefined ? 'Slipway commands' : `Commands of ${noun}`,
    text: 'A noun alone runs its list. help NOUN VERB explains every option.',
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
    { label: 'Role', value: `${command.role} or higher` },
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
