// Everything that an answer of the bot shows is explained: each column and field of a command has a row in bot/commands/help/terms, and so
// has each check of an agent. A new column without one fails here: add it to the table of its noun.

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { CHECK_TERMS } from '../../bot/commands/help/terms/checks.ts'
import { findCheck, findTerm, NOUN_TERMS } from '../../bot/commands/help/terms/terms.ts'
import { parseLine } from '../../bot/commands/run.ts'
import { COMMANDS } from '../../bot/commands/table.ts'
import { parseFile, readSourceFiles, walk } from './source-tree.ts'
import type { SourceFile, SyntaxNode } from './source-tree.ts'

/** Labels that are words of the line or of an agent: the option itself, the name of a media group or a result of a task. */
const NAMED_BY_DATA = new Set(['…', '……', '…=…', '--…', '--confirm NAME'])

interface Label {
  readonly noun: string
  readonly label: string
}

/** Returns the labels of columns (`key`, `label`) and of fields (`label`, `value`) that a file spells; `…` stands for an expression. */
function labelsOf(file: SourceFile): Label[] {
  const noun = /^bot\/commands\/([^/]+)\//.exec(file.path)?.[1] ?? ''
  return [...walk(parseFile(file))].flatMap((node) => {
    if (node.type !== 'ObjectExpression') return []
    const members = new Map((node['properties'] as readonly SyntaxNode[]).flatMap((member) => memberOf(member)))
    const isColumn = members.has('key') && !members.has('hint')
    const label = textOf(members.get('label'))
    return label === undefined || !(isColumn || members.has('value')) || members.has('about') ? [] : [{ noun, label }]
  })
}

function memberOf(member: SyntaxNode): [string, SyntaxNode][] {
  const key = member['key'] as SyntaxNode | undefined
  return member.type === 'Property' && key?.type === 'Identifier' ? [[String(key['name']), member['value'] as SyntaxNode]] : []
}

function textOf(node: SyntaxNode | undefined): string | undefined {
  if (node?.type === 'Literal' && typeof node['value'] === 'string') return node['value']
  if (node?.type !== 'TemplateLiteral') return undefined
  const parts = (node['quasis'] as readonly SyntaxNode[]).map((part) => (part['value'] as { readonly cooked: string }).cooked)
  return parts.join('…')
}

/** A label that begins with the name of what it is about is explained by the rest. */
const isExplained = ({ noun, label }: Label): boolean => {
  const verbs = COMMANDS.filter((command) => command.noun === noun).map(({ verb }) => verb)
  const words = label.length > 1 && label.startsWith('…') ? [label.slice(1)] : [label]
  return NAMED_BY_DATA.has(label) || words.some((word) => verbs.length > 0 && verbs.every((verb) => findTerm(noun, verb, word) !== undefined))
}

describe('columns and fields', () => {
  const files = readSourceFiles(['bot/commands']).filter(({ path }) => /^bot\/commands\/[^/]+\/[^/]+\.ts$/.test(path))

  test('are found', () => {
    const text =
      "const a = [{ key: 'x', label: 'Column' }, { label: `Usage: ${kind}`, value: 'v' }, { label: 'Button', command: 'c' }, { key: 'k', label: 'L', hint: 'h' }]"
    expect(labelsOf({ path: 'bot/commands/store/x.ts', text })).toEqual([
      { noun: 'store', label: 'Column' },
      { noun: 'store', label: 'Usage: …' },
    ])
    expect(isExplained({ noun: 'store', label: 'Nonsense' })).toBe(false)
    expect(files.flatMap(labelsOf).length).toBeGreaterThan(150)
  })

  test('have an explanation each', () => {
    const missing = files.flatMap((file) => labelsOf(file).flatMap((label) => (isExplained(label) ? [] : [`${file.path}: ${label.label}`])))
    expect(missing).toEqual([])
  })

  test('are explained for nouns that exist', () => {
    const nouns = new Set(COMMANDS.map(({ noun }) => noun))
    expect(Object.keys(NOUN_TERMS).filter((noun) => !nouns.has(noun))).toEqual([])
  })
})

describe('checks', () => {
  test('of an agent have an explanation each, and no other has one', () => {
    const text = readFileSync('agent/health/checks.ts', 'utf8')
    const names = [...text.matchAll(/\bcheck\('([a-z-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(12)
    expect(Object.keys(CHECK_TERMS).toSorted()).toEqual(names.toSorted())
  })

  test('say what is normal and what to do', () => {
    const incomplete = Object.keys(CHECK_TERMS).filter((name) => {
      const { normal, action } = findCheck(name)?.term ?? {}
      return normal === undefined || action === undefined
    })
    expect(incomplete).toEqual([])
  })
})

describe('examples', () => {
  test.each(COMMANDS.map((command) => [`${command.noun} ${command.verb}`.trim(), command] as const))('of %s exist and are understood', (_name, command) => {
    expect(command.examples.length).toBeGreaterThan(0)
    const parsed = command.examples.map((line) => parseLine({ commands: COMMANDS }, line))
    expect(parsed.map((one) => (one.kind === 'command' ? one.command : one.detail))).toEqual(command.examples.map(() => command))
  })
})
