// How the arguments of `slipway` are read.

import { describe, expect, test } from 'bun:test'
import { readCommandLine } from '../../bot/command-line.ts'
import type { CommandLine } from '../../bot/command-line.ts'

describe('readCommandLine', () => {
  test.each<[string, CommandLine]>([
    ['', { kind: 'console', words: [] }],
    ['console', { kind: 'console', words: [] }],
    ['store list --json', { kind: 'console', words: ['store', 'list', '--json'] }],
    ['console store list', { kind: 'console', words: ['store', 'list'] }],
    ['--version', { kind: 'version' }],
    ['-V', { kind: 'version' }],
    ['--help', { kind: 'help', hasUsage: true, words: ['help'] }],
    ['-h', { kind: 'help', hasUsage: true, words: ['help'] }],
    ['--help image', { kind: 'help', hasUsage: true, words: ['help', 'image'] }],
    ['help image', { kind: 'help', hasUsage: false, words: ['help', 'image'] }],
    ['image list --help', { kind: 'help', hasUsage: false, words: ['image', 'list', '--help'] }],
    ['console image -h', { kind: 'help', hasUsage: false, words: ['image', '-h'] }],
    ['console --help', { kind: 'help', hasUsage: true, words: [] }],
    ['serve', { kind: 'serve', words: [] }],
    ['serve x', { kind: 'serve', words: ['x'] }],
    ['rotate-key', { kind: 'rotate-key', words: [] }],
    ['rotate-key --lost-key', { kind: 'rotate-key', words: ['--lost-key'] }],
    ['rotate-key --help', { kind: 'help', hasUsage: true, words: [] }],
    ['serve --help', { kind: 'help', hasUsage: true, words: [] }],
  ])('understands "%s"', (line, expected) => {
    expect(readCommandLine(line.split(' ').filter((word) => word !== ''))).toEqual(expected)
  })
})
