// Modals: their frame, the typed name before something is deleted, and answers.

import type { KnownBlock, ModalView } from '@slack/types'
import { section } from '../views/block-parts.ts'
import { assertSlackLimits, LABEL_TEXT_MAX, limitText, MODAL_TITLE_MAX, PRIVATE_METADATA_MAX } from '../views/slack-limits.ts'
import type { Confirm } from '../../protocol/views/view.ts'
import { GLYPHS, plainText } from '../../protocol/views/phrases.ts'

export const CONFIRM_CALLBACK = 'slipway:confirm'
/** Block id and action id of the input for the typed name. */
export const NAME_INPUT = 'name'
const CHECKLIST_MAX = 40
const PROMISES_MAX = 20

/** Opened at once, because a trigger expires after three seconds and agents may take longer. */
export function loadingModal(title: string): ModalView {
  return { type: 'modal', title: modalTitle(title), close: plain('Close'), blocks: [section({ text: 'Asking the stores…' })] }
}

/** Blocks of an answer in a modal. */
export function answerModal(title: string, blocks: KnownBlock[]): ModalView {
  const shown = blocks.filter((block) => block.type !== 'actions')
  assertSlackLimits(shown, 'modal')
  return { type: 'modal', title: modalTitle(title), close: plain('Close'), blocks: shown }
}

/** Asks for the name; `metadata` is the opaque id of what a submission does. */
export function confirmModal(confirm: Confirm, metadata: string): ModalView {
  const blocks: KnownBlock[] = [
    section({ text: confirm.question }),
    ...(confirm.promises ?? []).slice(0, PROMISES_MAX).map(({ label, value }) => section({ text: label, style: 'bold' }, { text: `: ${value}` })),
    ...confirm.checklist.slice(0, CHECKLIST_MAX).map((item) => section({ text: `${item.passed ? GLYPHS.good : GLYPHS.bad} ${item.label}: ${item.detail}` })),
    {
      type: 'input',
      block_id: NAME_INPUT,
      label: plain(limitText(`Type ${plainText(confirm.name)} to confirm`, LABEL_TEXT_MAX)),
      element: { type: 'plain_text_input', action_id: NAME_INPUT },
    },
  ]
  return modal(blocks, { title: 'Confirm', callback: CONFIRM_CALLBACK, submit: 'Confirm', metadata })
}

export interface ModalFrame {
  readonly title: string
  readonly callback: string
  /** Text of the button that submits. */
  readonly submit: string
  /** Opaque id of what a submission does. */
  readonly metadata: string
}

/** Returns a modal that is submitted, within Slack's limits. */
export function modal(blocks: KnownBlock[], { title, callback, submit, metadata }: ModalFrame): ModalView {
  assertSlackLimits(blocks, 'modal')
  if (metadata.length > PRIVATE_METADATA_MAX) throw new RangeError(`private metadata has ${metadata.length} characters`)
  return {
    type: 'modal',
    callback_id: callback,
    title: modalTitle(title),
    submit: plain(limitText(submit, MODAL_TITLE_MAX)),
    close: plain('Cancel'),
    private_metadata: metadata,
    blocks,
  }
}

function modalTitle(title: string): ModalView['title'] {
  return plain(limitText(plainText(title), MODAL_TITLE_MAX))
}

function plain(text: string): { type: 'plain_text'; text: string } {
  return { type: 'plain_text', text }
}

/** A text in a modal. */
export function textSection(text: string): KnownBlock {
  return section({ text })
}
