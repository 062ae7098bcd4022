// What modals contain: the typed name, checklists and answers, within Slack's limits.

import { describe, expect, test } from 'bun:test'
import { answerModal, confirmModal, loadingModal } from '../../../bot/slack/modals.ts'
import { viewRefusal } from '../../support/clients/fake-slack/block-rules.ts'

const CONFIRM = { name: 'edge-a', question: 'Delete <it> & all?', checklist: [], command: 'x' }

describe('the confirmation', () => {
  test('asks the question, shows the checklist, and has an input for the name', () => {
    const checklist = [
      { label: 'Tasks', passed: true, detail: 'none' },
      { label: '<!channel>', passed: false, detail: 'a & b' },
    ]
    const modal = confirmModal({ ...CONFIRM, checklist }, 'm1')
    expect(modal).toEqual({
      type: 'modal',
      callback_id: 'slipway:confirm',
      title: { type: 'plain_text', text: 'Confirm' },
      submit: { type: 'plain_text', text: 'Confirm' },
      close: { type: 'plain_text', text: 'Cancel' },
      private_metadata: 'm1',
      blocks: [
        { type: 'section', text: { type: 'mrkdwn', text: 'Delete &lt;it&gt; &amp; all?', verbatim: true } },
        { type: 'section', text: { type: 'mrkdwn', text: '● Tasks: none', verbatim: true } },
        { type: 'section', text: { type: 'mrkdwn', text: '✖ &lt;!channel&gt;: a &amp; b', verbatim: true } },
        {
          type: 'input',
          block_id: 'name',
          label: { type: 'plain_text', text: 'Type edge-a to confirm' },
          element: { type: 'plain_text_input', action_id: 'name' },
        },
      ],
    })
    expect(viewRefusal(modal)).toBeUndefined()
  })

  test('shows at most 40 checks, and cuts long texts', () => {
    const checklist = Array.from({ length: 100 }, (_, i) => ({ label: `check ${i}`, passed: true, detail: 'x'.repeat(4000) }))
    const modal = confirmModal({ ...CONFIRM, name: 'n'.repeat(5000), question: 'q'.repeat(5000), checklist }, 'm1')
    expect(modal.blocks).toHaveLength(42)
    expect(viewRefusal(modal)).toBeUndefined()
  })

  test('shows the figures of the plan from the first one on, at most 20', () => {
    const promises = Array.from({ length: 21 }, (_, i) => ({ label: `Figure ${i}`, value: `${i} B` }))
    const texts = JSON.stringify(confirmModal({ ...CONFIRM, promises }, 'm1').blocks).match(/Figure \d+/g)
    expect([texts?.length, texts?.[0], texts?.at(-1)]).toEqual([20, 'Figure 0', 'Figure 19'])
  })

  test('takes an id of up to 3,000 characters', () => {
    expect(confirmModal(CONFIRM, 'm'.repeat(3000)).private_metadata).toHaveLength(3000)
    expect(() => confirmModal(CONFIRM, 'm'.repeat(3001))).toThrow('private metadata has 3001 characters')
  })
})

test('an answer in a modal has no buttons and a short title', () => {
  const section = { type: 'section' as const, text: { type: 'mrkdwn' as const, text: 'Done.' } }
  const buttons = { type: 'actions' as const, elements: [] }
  const modal = answerModal('A title that is longer than 24 characters', [section, buttons])
  expect(modal.blocks).toEqual([section])
  expect(modal.title.text).toBe('A title that is longer …')
  expect(viewRefusal(modal)).toBeUndefined()
  expect(() => answerModal('T', [{ ...section, text: { type: 'mrkdwn', text: 'x'.repeat(3001) } }])).toThrow('3001, the limit is 3000')
  expect(viewRefusal(loadingModal('Wait'))).toBeUndefined()
  expect(loadingModal('Wait').blocks).toEqual([{ type: 'section', text: { type: 'mrkdwn', text: 'Asking the stores…', verbatim: true } }])
})
