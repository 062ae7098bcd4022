// Lines that are understood, and lines that are not.

import { describe, expect, test } from 'bun:test'
import { fromArguments } from '../../../bot/commands/line.ts'
import { parseWords } from '../../../bot/commands/parse.ts'
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
    ['store list --help', 'help'],
    ['store cleanup a -h --json', 'help'],
    ['--help', 'help'],
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
    ['stor add name="a b" \'--json\'', 'Did you mean store?', 'store add name="a b" "--json"'],
    ['store lst a "b c" d', 'Did you mean store list?', 'store list a "b c" d'],
    ['image delet a --confirm="b c" owner= store=x', 'Did you mean image delete?', 'image delete a --confirm="b c" owner= store=x'],
    ['image list --store', 'Usage: image list', undefined],
    ['webs list', 'Did you mean web?', 'web list'],
    ['xyzzy', 'Use one of: store, image, alert,', undefined],
    ['store xyzzyq', 'Use one of: list, ', undefined],
    ['slack', 'Use one of: ', undefined],
    ['stor name=a', 'Did you mean store?', 'store name=a'],
    ['stor "list"', 'Did you mean store?', 'store list'],
    ['stor', 'Did you mean store?', 'store'],
    ['store lst a= --json=x', 'Did you mean store list?', 'store list a= --json=x'],
    ['image delete x --confirm ""', 'Usage: image delete', undefined],
    ['image delete x --confirm=', 'Usage: image delete', undefined],
    ['store cleanup a --dry-run=yes', 'Usage: store cleanup', undefined],
    ['image list --plan=abc', 'Usage: image list', undefined],
    ['image delete x --plan', 'Usage: image delete', undefined],
    ['store list zzzzzz=1', 'Usage: store list', undefined],
    ['store cleanup a --zzzzzz', 'Usage: store cleanup', undefined],
    ['store cleanup a --shar', 'Did you mean --share?', undefined],
  ])('"%s" is unclear: %s', (line, action, suggestion) => {
    const parsed = parse(line)
    expect(parsed.kind).toBe('unclear')
    if (parsed.kind !== 'unclear') return
    expect(parsed.action).toContain(action)
    expect(parsed.suggestion).toBe(suggestion)
  })

  test.each([
    ['image list --store edge-a', { store: 'edge-a' }],
    ['image list --store=edge-a', { store: 'edge-a' }],
    ['image list store=edge-a owner=', { store: 'edge-a', owner: '' }],
  ])('reads the options of %s', (line, options) => {
    const parsed = parse(line)
    expect(parsed.kind === 'command' ? parsed.input.options : parsed.detail).toEqual(options)
  })

  test.each([
    ['policy run p --dry-run', ['dry-run'], {}],
    ['policy run p dry-run=true removes=true', ['dry-run', 'removes'], {}],
    ['policy run p dry-run=false', [], {}],
    ['store delete a copy-to=b', [], { 'copy-to': 'b' }],
    ['store delete a --copy-to b --unreachable', ['unreachable'], { 'copy-to': 'b' }],
  ])('reads the flags and options of %s', (line, flags, options) => {
    const parsed = parse(line)
    if (parsed.kind !== 'command') throw new Error(parsed.detail)
    expect([[...parsed.input.flags], parsed.input.options]).toEqual([flags, options])
  })

  test.each([
    ['image show', 'image show needs I: ', ['I', [], 'image show']],
    ['IMAGE "show" store="edge a"', 'image show needs I: ', ['I', [], 'image show store="edge a"']],
    ['zone attach --json', 'zone attach needs ', ['Z', [], 'zone attach']],
    ['zone attach zone-1', 'zone attach needs ', ['S', ['zone-1'], 'zone attach zone-1']],
  ])('says which target %s lacks, and the line to which it can be added', (line, detail, lack) => {
    const parsed = parse(line)
    if (parsed.kind !== 'unclear') throw new Error('it is understood')
    expect(parsed.detail).toStartWith(detail)
    expect(parsed.detail).toMatch(/[a-z]\.$/)
    expect([parsed.lacks?.target.name, parsed.lacks?.input.targets, parsed.lacks?.line]).toEqual(lack)
  })

  test.each([
    ['xyzzy', 'There is no command "xyzzy".'],
    ['store xyzzy', 'store has no command "xyzzy".'],
    ['slack', 'slack has no command "list".'],
    ['slack x=1', 'slack has no command "x=1".'],
    ['image show a b', 'image show does not take "b".'],
    ['image show a b c', 'image show does not take "b".'],
    ['image list zone=a zone=b', 'zone= is given twice.'],
    ['image list --store', '--store needs a value.'],
    ['image delete x --confirm', '--confirm needs the name.'],
    ['store list --nothing', 'store list has no flag --nothing.'],
    ['help --nothing', 'help has no flag --nothing.'],
    ['image show "x', 'A quote is not closed.'],
  ])('says what is wrong with %s', (line, detail) => {
    expect(parse(line)).toMatchObject({ kind: 'unclear', detail })
  })

  test.each([
    ['store show a --chart', { chart: 'all' }, ['a']],
    ['store show --chart a', { chart: 'all' }, ['a']],
    ['store show a --chart=used', { chart: 'used' }, ['a']],
    ['image list --store edge-a --zone zone-1', { store: 'edge-a', zone: 'zone-1' }, []],
    ['image list --store=edge-a --store=edge-b', { store: 'edge-b' }, []],
    ['image show "store=edge-a"', {}, ['store=edge-a']],
    ['image show "--json" --json', {}, ['--json']],
    ['image show Store=edge-a', {}, ['Store=edge-a']],
    ['image list store=a=b', { store: 'a=b' }, []],
  ])('reads %s', (line, options, targets) => {
    const parsed = parse(line)
    if (parsed.kind !== 'command') throw new Error(parsed.detail)
    expect([parsed.input.options, parsed.input.targets]).toEqual([options, targets])
  })

  test('reads the plan that was confirmed, and ignores a confirmation of a command that deletes nothing', () => {
    expect(parse('image delete x --confirm x --plan=abc')).toMatchObject({ kind: 'command', input: { targets: ['x'], confirm: ['x'], plan: 'abc' } })
    expect(parse('store cleanup a --confirm a')).toMatchObject({ kind: 'command', input: { targets: ['a'], confirm: ['a'] } })
  })

  test.each([
    ['help --help', [], []],
    ['help store --help', ['store'], []],
    ['-h', [], []],
    ['store -h', ['store'], []],
    ['store zone=zone-1 list --help', ['store', 'list'], []],
    ['store list a --help --json --share', ['store', 'list'], ['json', 'share']],
  ])('%s is help of %j', (line, targets, common) => {
    const parsed = parse(line)
    if (parsed.kind !== 'command') throw new Error(parsed.detail)
    expect([parsed.command.noun, parsed.input.targets, [...parsed.common]]).toEqual(['help', targets, common])
  })

  test('a quoted --help is a word', () => {
    expect(parse('image show "--help"')).toMatchObject({ kind: 'command', input: { targets: ['--help'] } })
  })

  test('a flag with another value than true or false is unclear', () => {
    expect(parse('policy run p dry-run=yes')).toMatchObject({ kind: 'unclear', detail: 'policy run has no option dry-run=.' })
  })

  test('help of a command names its noun and verb, without its options', () => {
    const parsed = parse('store cleanup edge-a --dry-run --help --share')
    if (parsed.kind !== 'command') throw new Error(parsed.detail)
    expect(parsed.input.targets).toEqual(['store', 'cleanup'])
    expect([...parsed.common]).toEqual(['share'])
  })

  test('a suggestion keeps the words that a shell has split', () => {
    const parsed = parseWords(COMMANDS, fromArguments(['image', 'shwo', 'a b', 'store=edge a']))
    expect(parsed.kind === 'unclear' && parsed.suggestion).toBe('image show "a b" store="edge a"')
  })

  test('every command has its own name, and commands that write need a role above viewer', () => {
    const names = COMMANDS.map((command) => `${command.noun} ${command.verb}`)
    expect(new Set(names).size).toBe(names.length)
    // The code that is claimed is the right to do it, and everybody may end their own sessions.
    const writes = COMMANDS.filter(({ effect, noun, verb }) => effect !== 'read' && !['role claim', 'web revoke'].includes(`${noun} ${verb}`))
    for (const command of writes) expect(command.role).not.toBe('viewer')
  })
})
