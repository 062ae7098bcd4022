// The form of a command as a modal, within Slack's limits, and what Slack sends of a filled-in one.

import { describe, expect, test } from 'bun:test'
import type { FormField } from '../../../../protocol/views/form-field.ts'
import { formOf } from '../../../../bot/commands/form.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import { formModal, readForm } from '../../../../bot/slack/forms/form-modal.ts'
import type { Form } from '../../../../protocol/views/view.ts'
import { viewRefusal } from '../../../support/clients/fake-slack/block-rules.ts'

const FIELD: FormField = {
  ...{ key: 'name', label: 'Name', hint: 'One word.', kind: 'text', subject: 'text', choices: [] },
  ...{ example: undefined, isRequired: true, isSecret: false, isMany: false },
}
const formWith = (fields: readonly FormField[], values: Form['values'] = {}): Form => ({
  ...{ command: 'store add', title: 'Add a store', submit: 'Test and add', line: 'store add' },
  ...{ fields, values, before: {} },
})
const plain = (text: string) => ({ type: 'plain_text', text })

describe('the modal of a form', () => {
  test('has an input for a text, with an example and what is known', () => {
    const modal = formModal(formWith([{ ...FIELD, example: 'edge-a' }], { name: 'edge-b' }), 'm1')
    expect(modal).toEqual({
      type: 'modal',
      callback_id: 'slipway:form',
      title: { type: 'plain_text', text: 'Add a store' },
      submit: { type: 'plain_text', text: 'Test and add' },
      close: { type: 'plain_text', text: 'Cancel' },
      private_metadata: 'm1',
      blocks: [
        {
          type: 'input',
          block_id: 'name',
          optional: false,
          label: { type: 'plain_text', text: 'Name' },
          hint: { type: 'plain_text', text: 'One word.' },
          element: {
            type: 'plain_text_input',
            action_id: 'name',
            max_length: 3000,
            placeholder: { type: 'plain_text', text: 'edge-a' },
            initial_value: 'edge-b',
          },
        },
      ],
    })
  })

  test('has menus for choices and pickers, for one value and for several', () => {
    const choice = { ...FIELD, key: 'images', label: 'Images', kind: 'choice' as const, choices: ['on', 'off'] }
    const pick = { ...FIELD, key: 'zone', label: 'Zone', kind: 'pick' as const, subject: 'zone' as const }
    const kinds = { ...choice, key: 'kinds', isMany: true }
    const to = { ...pick, key: 'to', isMany: true }
    const { blocks } = formModal(formWith([choice, pick, kinds, to], { images: 'off', zone: 'zone-1', kinds: 'off,maybe', to: 'edge-a, edge-b' }), 'm1')
    expect(blocks.map((block) => ('element' in block ? block.element : block))).toEqual([
      {
        ...{ type: 'static_select', action_id: 'images', placeholder: plain('Choose: images') },
        options: [
          { text: plain('on'), value: 'on' },
          { text: plain('off'), value: 'off' },
        ],
        initial_option: { text: plain('off'), value: 'off' },
      },
      {
        ...{ type: 'external_select', action_id: 'zone', placeholder: plain('Search: zone'), min_query_length: 0 },
        initial_option: { text: plain('zone-1'), value: 'zone-1' },
      },
      {
        ...{ type: 'multi_static_select', action_id: 'kinds', placeholder: plain('Choose: images') },
        options: [
          { text: plain('on'), value: 'on' },
          { text: plain('off'), value: 'off' },
        ],
        initial_options: [{ text: plain('off'), value: 'off' }],
      },
      {
        ...{ type: 'multi_external_select', action_id: 'to', placeholder: plain('Search: zone'), min_query_length: 0 },
        initial_options: [
          { text: plain('edge-a'), value: 'edge-a' },
          { text: plain('edge-b'), value: 'edge-b' },
        ],
      },
    ] as never)
  })

  test('has one block for all flags, and shows a given target without asking for it', () => {
    const flag = { ...FIELD, key: '--dry-run', label: 'Dry run', hint: 'Only shows the plan.', kind: 'switch' as const }
    const modal = formModal(formWith([FIELD, flag], { S: 'edge-*a*', '--dry-run': 'true' }), 'm1', 'It is <gone>.')
    expect(modal.blocks.map((block) => block.block_id ?? ('text' in block ? block.text : ''))).toEqual([
      { type: 'mrkdwn', text: '✖ It is &lt;gone&gt;.', verbatim: true },
      { type: 'plain_text', text: 'edge-*a*', emoji: false },
      'name',
      'switches',
    ])
    expect(JSON.stringify(modal.blocks.at(-1))).toContain('"initial_options":[{"text":{"type":"plain_text","text":"Dry run"},"value":"--dry-run"')
    expect(viewRefusal(modal)).toBeUndefined()
  })

  test('never contains a secret, and says that Slack shows what is typed', () => {
    const modal = formModal(formWith([{ ...FIELD, key: 'token', isSecret: true }], { token: 'slp_hidden' }), 'm1')
    expect(JSON.stringify(modal)).not.toContain('slp_hidden')
    expect(JSON.stringify(modal)).toContain('One word. Slack shows it while you type, to you alone; the bot never shows it.')
  })

  test('is one that Slack accepts, for every command, and with hostile values', () => {
    for (const command of COMMANDS)
      expect([command.noun, command.verb, viewRefusal(formModal({ ...formOf(command), values: {}, before: {}, line: '' }, 'm1'))]).toEqual([
        command.noun,
        command.verb,
        undefined,
      ])
    for (const text of ['x'.repeat(100_000), '<!channel> *b* `c`', '\u001b[2J\u202Ea', '', ' ']) {
      const fields = (['text', 'choice', 'pick'] as const).flatMap((kind) =>
        [false, true].map((isMany) => ({
          ...FIELD,
          key: `${kind}${String(isMany)}`,
          kind,
          isMany,
          label: text || 'x',
          hint: text || 'x',
          choices: kind === 'choice' ? ['a'] : [],
        })),
      )
      const values = Object.fromEntries(fields.map(({ key }) => [key, text]))
      if (text.trim() !== '') expect([text.slice(0, 9), viewRefusal(formModal(formWith(fields, values), 'm1', text))]).toEqual([text.slice(0, 9), undefined])
    }
  })
})

test('what Slack sends becomes the values of the fields', () => {
  expect(
    readForm({
      name: { name: { value: 'edge-a' } },
      description: { description: { value: null } },
      zone: { zone: { selected_option: { value: 'zone-1' } } },
      images: { images: { selected_option: null } },
      to: { to: { selected_options: [{ value: 'a' }, { value: 'b' }] } },
      switches: { switches: { selected_options: [{ value: '--dry-run' }] } },
    }),
  ).toEqual({ name: 'edge-a', description: '', zone: 'zone-1', images: '', to: ['a', 'b'], '--dry-run': 'true' })
  expect(readForm({ switches: { switches: { selected_options: [] } } })).toEqual({})
})
