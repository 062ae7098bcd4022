// Forms made from the declarations of commands, and the lines that filled-in forms become.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { defineCommand } from '../../../bot/commands/command.ts'
import type { Command } from '../../../bot/commands/command.ts'
import { formOf, lineOf, valuesOf } from '../../../bot/commands/form.ts'
import { splitLine } from '../../../bot/commands/line.ts'
import { parseWords } from '../../../bot/commands/parse.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { makeView } from '../../../protocol/views/view.ts'

const PLAIN = { subject: 'text', choices: [], example: undefined, isRequired: false, isSecret: false, isMany: false } as const

function commandOf(name: string): Command {
  const found = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}`.trim() === name)
  if (!found) throw new Error(`there is no command ${name}`)
  return found
}

/** A command with every sort of field. */
const sample = defineCommand({
  noun: 'store',
  verb: 'try',
  summary: 'Tries',
  role: 'admin',
  effect: 'write',
  targets: [
    { name: 'S', about: 'name of a store', subject: 'store', optional: true },
    { name: 'I', about: 'images', subject: 'image', optional: true, many: true },
    { name: 'PATH', about: 'a file', subject: 'path', optional: true },
  ],
  options: {
    mode: { about: 'how', value: 'MODE', choices: ['fast', 'slow'] },
    key: { about: 'the key', value: 'KEY', secret: true, isRequired: true },
    'sync-hours': { about: 'when', value: '"0 22 * * *"' },
    to: { about: 'where to', value: 'S,S', subject: 'store', isMany: true },
    images: { about: 'whether', value: 'on|off' },
  },
  flags: { 'dry-run': 'only shows the plan', now: 'does not wait' },
  form: { title: 'Try a store', submit: 'Try', without: ['--now'] },
  run: () => Promise.resolve(makeView({ title: '', asOfMs: 0, json: {} })),
})

describe('the form of a command', () => {
  test('has a field for each target, option and flag, and what is required comes first', () => {
    expect(formOf(sample)).toEqual({
      command: 'store try',
      title: 'Try a store',
      submit: 'Try',
      fields: [
        { ...PLAIN, key: 'key', label: 'Key', hint: 'The key.', kind: 'text', isRequired: true, isSecret: true },
        { ...PLAIN, key: 'S', label: 'Store', hint: 'Name of a store.', kind: 'pick', subject: 'store' },
        { ...PLAIN, key: 'I', label: 'Image', hint: 'Images.', kind: 'pick', subject: 'image', isMany: true },
        { ...PLAIN, key: 'mode', label: 'Mode', hint: 'How.', kind: 'choice', choices: ['fast', 'slow'] },
        { ...PLAIN, key: 'sync-hours', label: 'Sync hours', hint: 'When.', kind: 'text', example: '0 22 * * *' },
        { ...PLAIN, key: 'to', label: 'To', hint: 'Where to.', kind: 'pick', subject: 'store', isMany: true },
        { ...PLAIN, key: 'images', label: 'Images', hint: 'Whether.', kind: 'choice', choices: ['on', 'off'] },
        { ...PLAIN, key: '--dry-run', label: 'Dry run', hint: 'Only shows the plan.', kind: 'switch' },
      ],
    })
  })

  test('of a command without words for it is named after the command', () => {
    expect(formOf(commandOf('task cancel'))).toEqual({
      command: 'task cancel',
      title: 'Task cancel',
      submit: 'Cancel',
      fields: [{ ...PLAIN, key: 'T', label: 'Task', hint: 'Id of a task, or a unique part of it.', kind: 'pick', subject: 'task', isRequired: true }],
    })
    expect(formOf(commandOf('help')).submit).toBe('Help')
  })

  test('of store add asks for what it needs, and hides the token', () => {
    const { title, submit, fields } = formOf(commandOf('store add'))
    expect([title, submit]).toEqual(['Add a store', 'Test and add'])
    expect(fields.filter(({ isRequired }) => isRequired).map(({ key, kind, isSecret }) => [key, kind, isSecret])).toEqual([
      ['name', 'text', false],
      ['url', 'text', false],
      ['token', 'text', true],
      ['zone', 'pick', false],
    ])
  })

  test('explains an option with the word of help where its declaration only repeats the label', () => {
    const hints = Object.fromEntries(formOf(commandOf('image upload')).fields.map(({ key, hint }) => [key, hint]))
    expect(hints['description']).toBe('A text for people; the agent does not use it.')
    expect(hints['max']).toBe('Largest file that the link accepts.')
    expect(Object.keys(hints)).not.toContain('PATH')
    expect(Object.keys(hints)).not.toContain('--dry-run')
  })

  test('has a label, a hint and a key of its own for each field, in every command', () => {
    for (const command of COMMANDS) {
      const { fields } = formOf(command)
      expect(new Set(fields.map(({ key }) => key)).size).toBe(fields.length)
      for (const { label, hint, kind, choices } of fields) {
        expect(label).toMatch(/^[A-Z][\w /-]*$/)
        expect(hint).toMatch(/^\S.*[.!?]$/s)
        expect([kind, choices.length > 0]).toEqual([kind, kind === 'choice'])
      }
    }
  })
})

describe('the line of a filled-in form', () => {
  test('has the targets, the options and the flags that were filled in', () => {
    const values = { S: 'edge-a', I: ['debian 12', 'alpine'], mode: 'fast', key: 'a"b', to: ['edge-b', 'edge-c'], images: '', '--dry-run': 'true', '--now': '' }
    expect(lineOf(sample, values)).toBe('store try edge-a "debian 12" alpine mode=fast key="a\\"b" to=edge-b,edge-c --dry-run')
    expect(lineOf(sample, {})).toBe('store try')
    expect(lineOf(commandOf('help'), { NOUN: 'store' })).toBe('help store')
  })

  test('keeps a target in its place when the one before it is empty', () => {
    expect(lineOf(sample, { S: ' ', I: ['alpine'] })).toBe('store try "" alpine')
  })

  test('leaves out what did not change, and empties what was emptied', () => {
    const before = { mode: 'fast', 'sync-hours': 'all', to: ['edge-b'] }
    expect(lineOf(sample, { S: 'edge-a', ...before }, before)).toBe('store try edge-a')
    expect(lineOf(sample, { S: 'edge-a', mode: 'slow', 'sync-hours': '', to: ['edge-b', 'edge-c'] }, before)).toBe(
      'store try edge-a mode=slow sync-hours="" to=edge-b,edge-c',
    )
  })

  test('never becomes another option, target or flag, whatever is filled in', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('--dry-run', 'mode=slow', '—now', '"', '\\', "' --confirm x", 'a\nb', '“x”', '<!channel>'),
    )
    fc.assert(
      fc.property(text, text, text, (store, key, hours) => {
        const parsed = parseWords([sample], splitLine(lineOf(sample, { S: store, key, 'sync-hours': hours })) ?? [])
        if (parsed.kind !== 'command') throw new Error(parsed.detail)
        const given = Object.entries({ key, 'sync-hours': hours }).filter(([, value]) => value.trim() !== '')
        expect(parsed.input.targets).toEqual(store.trim() === '' ? [] : [store.trim()])
        expect(parsed.input.options).toEqual(Object.fromEntries(given.map(([name, value]) => [name, value.trim()])))
        expect([parsed.input.flags.size, parsed.input.confirm.length]).toEqual([0, 0])
      }),
    )
  })
})

test('the values of a line are those of its words, without secrets', () => {
  const input = { targets: ['edge-a', 'debian', 'alpine'], options: { mode: 'fast', key: 'hidden' }, flags: new Set(['dry-run']) }
  expect(valuesOf(sample, input)).toEqual({ S: 'edge-a', I: ['debian', 'alpine'], mode: 'fast', '--dry-run': 'true' })
  expect(valuesOf(sample, { targets: [], options: {}, flags: new Set() })).toEqual({})
})
