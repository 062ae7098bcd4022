// Each rule on blocks and views: what Slack accepts at the bound, and what it refuses one past it. All numbers are those of Slack's documentation.

import { describe, expect, test } from 'bun:test'
import { blocksRefusal, viewRefusal } from './block-rules.ts'
import type { Surface } from './block-rules.ts'
import { suggestionRefusal } from './element-rules.ts'

const text = (length: number) => 'x'.repeat(length)
const plain = (length = 1) => ({ type: 'plain_text', text: text(length) })
const mrkdwn = (length = 1) => ({ type: 'mrkdwn', text: text(length) })
const address = (length: number) => `https://example.org/${text(length - 20)}`
const times = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_unused, n) => make(n))
const section = (more: object = {}) => ({ type: 'section', text: mrkdwn(), ...more })
const button = (more: object = {}) => ({ type: 'button', action_id: 'a', text: plain(), ...more })
const actions = (...elements: unknown[]) => ({ type: 'actions', elements })
const input = (element: object, more: object = {}) => ({ type: 'input', label: plain(), element, ...more })
const option = (more: object = {}) => ({ text: plain(), value: 'v', ...more })
const options = (count: number) => times(count, (n) => option({ value: `v${n}` }))
const select = (more: object = {}) => ({ type: 'static_select', action_id: 's', options: options(1), ...more })
const confirm = (more: object = {}) => ({ title: plain(), text: plain(), confirm: plain(), deny: plain(), ...more })
const picture = (more: object = {}) => ({ type: 'image', image_url: 'https://example.org/a.png', alt_text: 'a', ...more })
const modal = (more: object = {}) => ({ type: 'modal', title: plain(), blocks: [section()], ...more })
const home = (more: object = {}) => ({ type: 'home', blocks: [section()], ...more })

/** A rule: what is accepted, what is refused, and a part of the reason. */
type Rule = readonly [what: string, accepted: unknown, refused: unknown, reason: string]

const BLOCKS: readonly Rule[] = [
  ['the text of a header', { type: 'header', text: plain(150) }, { type: 'header', text: plain(151) }, 'less than 151'],
  ['the kind of text of a header', { type: 'header', text: plain() }, { type: 'header', text: mrkdwn() }, 'text must be plain_text'],
  ['an empty header', { type: 'header', text: plain() }, { type: 'header', text: plain(0) }, 'more than 0'],
  ['the text of a section', section({ text: mrkdwn(3000) }), section({ text: mrkdwn(3001) }), 'less than 3001'],
  ['what a section holds', section(), { type: 'section' }, 'section needs text or fields'],
  ['the fields of a section', section({ fields: times(10, () => plain()) }), section({ fields: times(11, () => plain()) }), 'no more than 10'],
  ['no field of a section', section({ fields: [plain()] }), section({ fields: [] }), 'at least one'],
  ['the text of a field', section({ fields: [mrkdwn(2000)] }), section({ fields: [mrkdwn(2001)] }), 'less than 2001'],
  ['the elements of a context', { type: 'context', elements: times(10, () => mrkdwn()) }, { type: 'context', elements: times(11, () => mrkdwn()) }, 'than 10'],
  ['no element of a context', { type: 'context', elements: [plain()] }, { type: 'context', elements: [] }, 'at least one'],
  ['the text of a context', { type: 'context', elements: [mrkdwn(2000)] }, { type: 'context', elements: [mrkdwn(2001)] }, 'less than 2001'],
  ['a picture in a context', { type: 'context', elements: [picture()] }, { type: 'context', elements: [picture({ alt_text: '' })] }, 'alt_text is needed'],
  ['the elements of actions', actions(...times(25, (n) => button({ action_id: `a${n}` }))), actions(...times(26, (n) => button({ action_id: `a${n}` }))), '25'],
  ['no element of actions', actions(button()), actions(), 'at least one'],
  ['an unknown element of actions', actions(button()), actions({ type: 'plain_text_input', action_id: 'a' }), 'unsupported type: plain_text_input'],
  ['an unknown block', section(), { type: 'sections', text: mrkdwn() }, 'unsupported type: sections'],
  ['a block that is no object', section(), 'section', 'unsupported type: string'],
  ['the length of a block_id', section({ block_id: text(255) }), section({ block_id: text(256) }), 'block_id has 1 to 255'],
  ['an empty block_id', section({ block_id: 'b' }), section({ block_id: '' }), 'block_id has 1 to 255'],
  ['the length of an action_id', actions(button({ action_id: text(255) })), actions(button({ action_id: text(256) })), 'action_id has 1 to 255'],
  ['an action_id twice in a block', actions(button(), button({ action_id: 'b' })), actions(button(), button()), 'action_id a already exists'],
  ['the text of a button', actions(button({ text: plain(75) })), actions(button({ text: plain(76) })), 'less than 76'],
  ['the kind of text of a button', actions(button()), actions(button({ text: mrkdwn() })), 'text must be plain_text'],
  ['the value of a button', actions(button({ value: text(2000) })), actions(button({ value: text(2001) })), 'value is longer than 2000'],
  ['the address of a button', actions(button({ url: address(3000) })), actions(button({ url: address(3001) })), 'url is longer than 3000'],
  ['what is no address', actions(button({ url: 'https://a' })), actions(button({ url: 'a' })), 'url must be a valid URL'],
  ['the style of a button', actions(button({ style: 'danger' })), actions(button({ style: 'warning' })), 'style warning is not known'],
  ['the label for readers', actions(button({ accessibility_label: text(75) })), actions(button({ accessibility_label: text(76) })), 'longer than 75'],
  ['a button beside a section', section({ accessory: button() }), section({ accessory: button({ value: text(2001) }) }), 'accessory: value is longer'],
  ['a picture beside a section', section({ accessory: picture() }), section({ accessory: picture({ image_url: 'x' }) }), 'image_url must be a valid URL'],
  [
    'the title of a question',
    actions(button({ confirm: confirm({ title: plain(100) }) })),
    actions(button({ confirm: confirm({ title: plain(101) }) })),
    '101',
  ],
  ['the text of a question', actions(button({ confirm: confirm({ text: plain(300) }) })), actions(button({ confirm: confirm({ text: plain(301) }) })), '301'],
  ['the yes of a question', actions(button({ confirm: confirm({ confirm: plain(30) }) })), actions(button({ confirm: confirm({ confirm: plain(31) }) })), '31'],
  ['the no of a question', actions(button({ confirm: confirm({ deny: plain(30) }) })), actions(button({ confirm: confirm({ deny: plain(31) }) })), '31'],
  ['the style of a question', actions(button({ confirm: confirm() })), actions(button({ confirm: confirm({ style: 'red' }) })), 'style red'],
  ['the options of an overflow', actions({ type: 'overflow', options: options(5) }), actions({ type: 'overflow', options: options(6) }), 'no more than 5'],
  ['no option of an overflow', actions({ type: 'overflow', options: options(1) }), actions({ type: 'overflow', options: [] }), 'at least one'],
  ['the options of a select', actions(select({ options: options(100) })), actions(select({ options: options(101) })), 'no more than 100'],
  ['no option of a select', actions(select()), actions(select({ options: [] })), 'at least one'],
  ['options and groups', actions(select()), actions(select({ option_groups: [{ label: plain(), options: options(1) }] })), 'either options or option_groups'],
  [
    'the groups of a select',
    actions({ type: 'static_select', option_groups: times(100, () => ({ label: plain(75), options: options(1) })) }),
    actions({ type: 'static_select', option_groups: times(101, () => ({ label: plain(), options: options(1) })) }),
    'no more than 100',
  ],
  [
    'the label of a group',
    actions({ type: 'static_select', option_groups: [{ label: plain(75), options: options(100) }] }),
    actions({ type: 'static_select', option_groups: [{ label: plain(76), options: options(1) }] }),
    'label: must be less than 76',
  ],
  [
    'the options of a group',
    actions({ type: 'static_select', option_groups: [{ label: plain(), options: options(100) }] }),
    actions({ type: 'static_select', option_groups: [{ label: plain(), options: options(101) }] }),
    'no more than 100',
  ],
  ['the chosen option', actions(select({ initial_option: option({ value: 'v0' }) })), actions(select({ initial_option: option({ value: 'v1' }) })), 'among'],
  ['the text of an option', actions(select({ options: [option({ text: plain(75) })] })), actions(select({ options: [option({ text: plain(76) })] })), '76'],
  [
    'the value of an option',
    actions(select({ options: [option({ value: text(150) })] })),
    actions(select({ options: [option({ value: text(151) })] })),
    '1 to 150',
  ],
  ['an empty value', actions(select({ options: [option({ value: 'v' })] })), actions(select({ options: [option({ value: '' })] })), '1 to 150'],
  [
    'the description of an option',
    actions(select({ options: [option({ description: plain(75) })] })),
    actions(select({ options: [option({ description: plain(76) })] })),
    'description: must be less than 76',
  ],
  [
    'the address of an option',
    actions({ type: 'overflow', options: [option({ url: address(3000) })] }),
    actions({ type: 'overflow', options: [option({ url: address(3001) })] }),
    'url is longer than 3000',
  ],
  ['an address in a select', actions(select()), actions(select({ options: [option({ url: 'https://a' })] })), 'url is for overflow menus'],
  [
    'the placeholder of a select',
    actions(select({ placeholder: plain(150) })),
    actions(select({ placeholder: plain(151) })),
    'placeholder: must be less than 151',
  ],
  ['the options of radio buttons', actions({ type: 'radio_buttons', options: options(10) }), actions({ type: 'radio_buttons', options: options(11) }), '10'],
  [
    'the options of checkboxes',
    actions({ type: 'checkboxes', options: options(10) }),
    actions({ type: 'checkboxes', options: options(11) }),
    'no more than 10',
  ],
  [
    'the text of a checkbox',
    actions({ type: 'checkboxes', options: [option({ text: mrkdwn(75) })] }),
    actions(select({ options: [option({ text: mrkdwn() })] })),
    'plain',
  ],
  ['a date', actions({ type: 'datepicker', initial_date: '2026-01-02' }), actions({ type: 'datepicker', initial_date: '2.1.2026' }), 'YYYY-MM-DD'],
  ['a time', actions({ type: 'timepicker', initial_time: '23:59' }), actions({ type: 'timepicker', initial_time: '24:00' }), 'HH:mm'],
  ['the address of a picture', picture({ image_url: address(3000) }), picture({ image_url: address(3001) }), 'image_url is longer than 3000'],
  ['the words of a picture', picture({ alt_text: text(2000) }), picture({ alt_text: text(2001) }), 'alt_text is longer than 2000'],
  ['the title of a picture', picture({ title: plain(2000) }), picture({ title: plain(2001) }), 'title: must be less than 2001'],
  ['markdown', { type: 'markdown', text: text(12_000) }, { type: 'markdown', text: text(12_001) }, 'markdown has more than 12000'],
  ['empty markdown', { type: 'markdown', text: 'a' }, { type: 'markdown', text: '' }, 'markdown needs text'],
]

const INPUTS: readonly Rule[] = [
  [
    'the label',
    input({ type: 'plain_text_input' }, { label: plain(2000) }),
    input({ type: 'plain_text_input' }, { label: plain(2001) }),
    'label: must be less',
  ],
  ['the hint', input({ type: 'plain_text_input' }, { hint: plain(2000) }), input({ type: 'plain_text_input' }, { hint: plain(2001) }), 'hint: must be less'],
  ['the placeholder', input({ type: 'plain_text_input', placeholder: plain(150) }), input({ type: 'plain_text_input', placeholder: plain(151) }), '151'],
  ['the shortest text', input({ type: 'plain_text_input', min_length: 3000 }), input({ type: 'plain_text_input', min_length: 3001 }), 'min_length'],
  ['the longest text', input({ type: 'plain_text_input', max_length: 3000 }), input({ type: 'plain_text_input', max_length: 3001 }), 'max_length'],
  ['no text', input({ type: 'plain_text_input', max_length: 1 }), input({ type: 'plain_text_input', max_length: 0 }), 'max_length'],
  [
    'both lengths',
    input({ type: 'plain_text_input', min_length: 2, max_length: 2 }),
    input({ type: 'plain_text_input', min_length: 3, max_length: 2 }),
    'greater',
  ],
  [
    'the first text',
    input({ type: 'plain_text_input', initial_value: text(3000) }),
    input({ type: 'plain_text_input', initial_value: text(3001) }),
    'too long',
  ],
  ['the kind of the first text', input({ type: 'plain_text_input', initial_value: '' }), input({ type: 'plain_text_input', initial_value: 5 }), 'be a string'],
  ['a number', input({ type: 'number_input', is_decimal_allowed: false }), input({ type: 'number_input' }), 'is_decimal_allowed is needed'],
  [
    'a picker',
    input({ type: 'external_select', initial_option: option() }),
    input({ type: 'external_select', initial_option: { value: 'v' } }),
    'initial_option',
  ],
  ['the element', input(select()), input(button()), 'unsupported type: button'],
]

const refusalOf = (block: unknown, surface: Surface = 'message') => blocksRefusal([block], surface)

describe('blocks', () => {
  test.each(BLOCKS)('%s', (_what, accepted, refused, reason) => {
    expect(refusalOf(accepted)).toBeUndefined()
    expect(refusalOf(refused)).toContain(reason)
  })

  test.each(INPUTS)('an input: %s', (_what, accepted, refused, reason) => {
    expect(refusalOf(accepted, 'modal')).toBeUndefined()
    expect(refusalOf(refused, 'modal')).toContain(reason)
    expect(refusalOf(accepted, 'message')).toContain('unsupported type: input')
  })

  test.each<[Surface, number]>([
    ['message', 50],
    ['modal', 100],
    ['home', 100],
  ])('of a %s are at most %d', (surface, max) => {
    expect(
      blocksRefusal(
        times(max, () => section()),
        surface,
      ),
    ).toBeUndefined()
    expect(
      blocksRefusal(
        times(max + 1, () => section()),
        surface,
      ),
    ).toContain(`no more than ${max} items allowed`)
  })

  test('have different block_ids, and may share an action_id', () => {
    expect(blocksRefusal([section({ block_id: 'a' }), section({ block_id: 'b' })], 'message')).toBeUndefined()
    expect(blocksRefusal([section({ block_id: 'a' }), section({ block_id: 'a' })], 'message')).toBe('block_id a already exists [json-pointer:/blocks/1]')
    expect(blocksRefusal([actions(button()), actions(button())], 'message')).toBeUndefined()
  })

  test('of markdown have 12,000 characters together, and are for messages', () => {
    const markdown = (length: number) => ({ type: 'markdown', text: text(length) })
    expect(blocksRefusal([markdown(6000), markdown(6000)], 'message')).toBeUndefined()
    expect(blocksRefusal([markdown(6000), markdown(6001)], 'message')).toBe('markdown has more than 12000 characters (12001)')
    expect(refusalOf(markdown(1), 'home')).toContain('unsupported type: markdown')
  })

  test('are a list', () => {
    expect(blocksRefusal({}, 'message')).toBe('blocks is not a list')
    expect(blocksRefusal(undefined, 'home')).toBe('blocks is not a list')
  })
})

const VIEWS: readonly Rule[] = [
  ['its title', modal({ title: plain(24) }), modal({ title: plain(25) }), 'title: must be less than 25'],
  ['no title', modal(), { type: 'modal', blocks: [section()] }, 'title: text must be plain_text'],
  ['its submit', modal({ submit: plain(24) }), modal({ submit: plain(25) }), 'submit: must be less than 25'],
  ['its close', modal({ close: plain(24) }), modal({ close: plain(25) }), 'close: must be less than 25'],
  ['its private_metadata', modal({ private_metadata: text(3000) }), modal({ private_metadata: text(3001) }), 'private_metadata is longer than 3000'],
  ['its callback_id', modal({ callback_id: text(255) }), modal({ callback_id: text(256) }), 'callback_id is longer than 255'],
  ['its external_id', modal({ external_id: text(255) }), modal({ external_id: text(256) }), 'external_id is longer than 255'],
  ['a submit for inputs', modal({ submit: plain(), blocks: [input(select())] }), modal({ blocks: [input(select())] }), 'submit is required'],
  ['its blocks', modal({ blocks: times(100, () => section()) }), modal({ blocks: times(101, () => section()) }), 'no more than 100'],
  ['its kind', modal(), home(), 'view is not a modal'],
]

const HOMES: readonly Rule[] = [
  ['its private_metadata', home({ private_metadata: text(3000) }), home({ private_metadata: text(3001) }), 'private_metadata is longer than 3000'],
  ['its callback_id', home({ callback_id: text(255) }), home({ callback_id: text(256) }), 'callback_id is longer than 255'],
  ['its external_id', home({ external_id: text(255) }), home({ external_id: text(256) }), 'external_id is longer than 255'],
  ['its blocks', home({ blocks: times(100, () => section()) }), home({ blocks: times(101, () => section()) }), 'no more than 100'],
  ['a title', home(), home({ title: plain() }), 'title is not allowed in a home tab'],
  ['a submit', home(), home({ submit: plain() }), 'submit is not allowed in a home tab'],
  ['its kind', home(), modal(), 'view is not a home'],
]

/** A view with this many bytes of JSON. */
function sized(bytes: number): unknown {
  const blocks = times(85, () => section({ text: mrkdwn(2900) }))
  const rest = bytes - Buffer.byteLength(JSON.stringify(home({ blocks, callback_id: '' })))
  const whole = Math.floor(rest / 48)
  const padded = blocks.map((block, n) => ({ ...block, text: mrkdwn(2900 + (n < 48 ? whole : 0)) }))
  return home({ blocks: padded, callback_id: text(rest - whole * 48) })
}

describe('views', () => {
  test.each(VIEWS)('of a modal: %s', (_what, accepted, refused, reason) => {
    expect(viewRefusal(accepted, 'modal')).toBeUndefined()
    expect(viewRefusal(refused, 'modal')).toContain(reason)
  })

  test.each(HOMES)('of a home tab: %s', (_what, accepted, refused, reason) => {
    expect(viewRefusal(accepted, 'home')).toBeUndefined()
    expect(viewRefusal(refused, 'home')).toContain(reason)
  })

  test('have at most 250,000 bytes', () => {
    for (const bytes of [249_999, 250_000, 250_001]) expect(JSON.stringify(sized(bytes))).toHaveLength(bytes)
    expect(viewRefusal(sized(250_000), 'home')).toBeUndefined()
    expect(viewRefusal(sized(250_001), 'home')).toBe('view_too_large')
  })
})

describe('answers to a picker', () => {
  test.each<Rule>([
    ['its options', { options: options(100) }, { options: options(101) }, 'no more than 100'],
    ['no option', { options: [] }, {}, 'either options or option_groups'],
    ['its groups', { option_groups: [{ label: plain(), options: options(100) }] }, { option_groups: [{ label: plain(), options: [] }] }, 'at least one'],
    ['an answer', { options: options(1) }, undefined, 'options or option_groups are needed'],
    ['an option', { options: [option({ value: text(150) })] }, { options: [option({ value: text(151) })] }, '1 to 150'],
  ])('%s', (_what, accepted, refused, reason) => {
    expect(suggestionRefusal(accepted)).toBeUndefined()
    expect(suggestionRefusal(refused)).toContain(reason)
  })
})
