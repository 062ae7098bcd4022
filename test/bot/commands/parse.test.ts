// Lines that are understood, and lines that are not.

import { describe, expect, test } from 'bun:test'
import { parseLine } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'

const parse = (line: string) => parseLine({ commands: COMMANDS }, line)

describe('parseLine', () => {
  test.each([
    ['store', 'store list'],
    ['store zone=zone-1', 'store list'],
    ['image --json', 'image list'],
    ['', 'help'],
    ['help store add', 'help'],
    ['STORE LIST', 'store list'],
  ])('"%s" is %s', (line, expected) => {
    const parsed = parse(line)
    expect(parsed.kind === 'command' ? `${parsed.command.noun} ${parsed.command.verb}`.trim() : parsed.detail).toBe(expected)
  })

  test('reads targets, options, flags and the confirmed name', () => {
    const parsed = parse('image delete a "b c" store=edge-a --confirm "b c" --confirm=a --json')
    expect(parsed.kind).toBe('command')
    if (parsed.kind !== 'command') return
    expect(parsed.input).toEqual({ targets: ['a', 'b c'], options: { store: 'edge-a' }, flags: new Set(), confirm: ['b c', 'a'], plan: undefined })
    expect([...parsed.common]).toEqual(['json'])
  })

  test.each([
    ['stor list', 'Did you mean store?', 'store list'],
    ['stor lst', 'Did you mean store?', 'store list'],
    ['stores', 'Did you mean store?', 'store'],
    ['store lst', 'Did you mean store list?', 'store list'],
    ['store list zoen=z', 'Did you mean zone=?', undefined],
    ['store cleanup a --dryrun', 'Did you mean --dry-run?', undefined],
    ['image delete x --confrim x', 'Did you mean --confirm?', undefined],
    ['store list --confirm x', 'Usage:', undefined],
    ['image show', 'Usage: image show I', undefined],
    ['image show a b', 'Put quotes around', undefined],
    ['store list zone=a zone=b', 'Usage:', undefined],
    ['image delete x --confirm', 'Usage:', undefined],
    ['image show "x', 'Close it', undefined],
  ])('"%s" is unclear: %s', (line, action, suggestion) => {
    const parsed = parse(line)
    expect(parsed.kind).toBe('unclear')
    if (parsed.kind !== 'unclear') return
    expect(parsed.action).toContain(action)
    expect(parsed.suggestion).toBe(suggestion)
  })

  test('every command has its own name, and commands that write need a role above viewer', () => {
    const names = COMMANDS.map((command) => `${command.noun} ${command.verb}`)
    expect(new Set(names).size).toBe(names.length)
    for (const command of COMMANDS) if (command.effect !== 'read') expect(command.role).not.toBe('viewer')
  })
})
