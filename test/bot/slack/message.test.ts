// What a button of a message does: the role that its command needs whatever the View says, and whether it can be used once.

import { describe, expect, test } from 'bun:test'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { createRegister, createRenderer, jsonMessage } from '../../../bot/slack/message.ts'
import type { Press } from '../../../bot/views/blocks.ts'
import { makeView } from '../../../protocol/views/view.ts'

/** What is stored for a button. */
function registered(press: Partial<Press>): unknown {
  const kept: unknown[] = []
  const register = createRegister({ commands: COMMANDS, buttons: { register: (stored, isSingleUse) => (kept.push([stored.role, isSingleUse]), 'id') } })
  expect(register({ command: 'store list', page: 0, role: 'viewer', ...press })).toBe('id')
  return kept[0]
}

describe('a button', () => {
  test.each<[what: string, press: Partial<Press>, role: string, isSingleUse: boolean]>([
    ['of a read', { command: 'store list' }, 'viewer', false],
    ['of a read that is for admins here', { command: 'store list', role: 'admin' }, 'admin', false],
    ['of a write', { command: 'store disable edge-a' }, 'operator', true],
    ['of a write whose View says less', { command: 'store disable edge-a', role: 'uploader' }, 'operator', true],
    ['of a write that lacks its target', { command: 'store disable' }, 'operator', true],
    ['of a write that opens a form', { command: 'store disable', opens: 'modal' }, 'operator', false],
    ['of a write whose target is chosen', { command: 'store disable', picks: { subject: 'store', key: '' } }, 'operator', false],
    ['of a write that may be repeated', { command: 'web revoke all' }, 'viewer', false],
    ['of a deletion', { command: 'store delete edge-a' }, 'admin', false],
    ['of what is no command', { command: 'store vanish', role: 'uploader' }, 'uploader', false],
  ])('%s', (_what, press, role, isSingleUse) => {
    expect(registered(press)).toEqual([role, isSingleUse])
  })
})

test('a message has the line that it answers, and its age', () => {
  const render = createRenderer({ commands: COMMANDS, clock: { nowMs: () => 61_000 }, buttons: { register: () => 'id' } })
  const view = makeView({ title: 'Stores', text: '1 store', asOfMs: 0, json: null })
  const words = JSON.stringify(render(view, 'store list').blocks)
  expect([words.includes('store list'), words.includes('1 min 1 s ago')]).toEqual([true, true])
  expect(JSON.stringify(render(view).blocks)).not.toContain('store list')
})

test('the JSON of a View is a code block with its title', () => {
  const { text, blocks } = jsonMessage(makeView({ title: 'Stores', asOfMs: 0, json: { a: '\u202E' } }))
  expect([text, JSON.stringify(blocks).includes('\\\\u202e'), blocks.length]).toEqual(['Stores', true, 1])
})
