// Slack's limits on Block Kit. Every message and modal is checked before it is sent, so that Slack never refuses an answer because of a
// long name or a full store.

import type { Button, ExternalSelect, InputBlock, KnownBlock, MrkdwnElement, Option, PlainTextElement } from '@slack/types'

export const MESSAGE_BLOCKS_MAX = 50
export const MODAL_BLOCKS_MAX = 100
export const HEADER_TEXT_MAX = 150
export const SECTION_TEXT_MAX = 3000
export const SECTION_FIELDS_MAX = 10
export const FIELD_TEXT_MAX = 2000
export const CONTEXT_ELEMENTS_MAX = 10
export const CONTEXT_TEXT_MAX = 2000
export const ACTIONS_ELEMENTS_MAX = 25
export const BUTTON_TEXT_MAX = 75
export const BUTTON_VALUE_MAX = 2000
export const ID_MAX = 255
export const MODAL_TITLE_MAX = 24
export const PRIVATE_METADATA_MAX = 3000
export const LABEL_TEXT_MAX = 2000
export const PLACEHOLDER_TEXT_MAX = 150
export const TEXT_INPUT_MAX = 3000
export const SELECT_OPTIONS_MAX = 100
export const OPTION_TEXT_MAX = 75
export const OPTION_VALUE_MAX = 150
export const CHECKBOXES_MAX = 10
/** Slack recommends at most 4,000 characters for the fallback text of a message. */
export const FALLBACK_TEXT_MAX = 4000

/** Blocks exceed a limit: a bug in a renderer. */
export class SlackLimitBroken extends Error {
  override readonly name = 'SlackLimitBroken'
}

/** Throws SlackLimitBroken with the first limit that the blocks exceed. */
export function assertSlackLimits(blocks: readonly KnownBlock[], surface: 'message' | 'modal' = 'message'): void {
  const [first] = limitViolations(blocks, surface)
  if (first !== undefined) throw new SlackLimitBroken(first)
}

/** A sentence for each limit that the blocks exceed. */
export function limitViolations(blocks: readonly KnownBlock[], surface: 'message' | 'modal' = 'message'): string[] {
  const violations: string[] = []
  const check: Check = (what, size, max, min = 0) => {
    if (size > max) violations.push(`${what}: ${size}, the limit is ${max}`)
    if (size < min) violations.push(`${what}: ${size}, at least ${min} are needed`)
  }
  check('blocks', blocks.length, surface === 'modal' ? MODAL_BLOCKS_MAX : MESSAGE_BLOCKS_MAX)
  const blockIds = blocks.flatMap((block) => (block.block_id === undefined ? [] : [block.block_id]))
  check('repeated block_id', blockIds.length - new Set(blockIds).size, 0)
  for (const id of blockIds) check('block_id', id.length, ID_MAX)
  const buttons = blocks.flatMap((block) => (block.type === 'actions' ? block.elements.filter((element) => element.type === 'button') : []))
  const actionIds = buttons.flatMap((button) => (button.action_id === undefined ? [] : [button.action_id]))
  check('repeated action_id', actionIds.length - new Set(actionIds).size, 0)
  for (const button of buttons) checkButton(button, check)
  for (const block of blocks) checkBlock(block, surface, check, violations)
  return violations
}

type Check = (what: string, size: number, max: number, min?: number) => void

function checkBlock(block: KnownBlock, surface: 'message' | 'modal', check: Check, violations: string[]): void {
  const checkText = (what: string, element: PlainTextElement | MrkdwnElement, max: number): void => check(`${what} text`, element.text.length, max, 1)
  if (block.type === 'header') checkText('header', block.text, HEADER_TEXT_MAX)
  else if (block.type === 'section') {
    check('section parts', Number(block.text !== undefined) + Number(block.fields !== undefined), 2, 1)
    if (block.text) checkText('section', block.text, SECTION_TEXT_MAX)
    if (block.fields) check('section fields', block.fields.length, SECTION_FIELDS_MAX, 1)
    for (const field of block.fields ?? []) checkText('field', field, FIELD_TEXT_MAX)
  } else if (block.type === 'context') {
    check('context elements', block.elements.length, CONTEXT_ELEMENTS_MAX, 1)
    for (const element of block.elements) if (element.type !== 'image') checkText('context', element, CONTEXT_TEXT_MAX)
  } else if (block.type === 'actions') {
    check('actions elements', block.elements.length, ACTIONS_ELEMENTS_MAX, 1)
    for (const element of block.elements) {
      if (element.type === 'external_select') checkMenu(element, check)
      else if (element.type !== 'button') violations.push(`actions hold a ${element.type}, which is not known here`)
    }
  } else if (block.type === 'input') {
    if (surface === 'message') violations.push('input in a message')
    checkText('label', block.label, LABEL_TEXT_MAX)
    if (block.hint) checkText('hint', block.hint, LABEL_TEXT_MAX)
    checkInput(block.element, check, violations)
  } else violations.push(`a block of type ${block.type}, which is not known here`)
}

function checkButton(button: Button, check: Check): void {
  check('button text', button.text.text.length, BUTTON_TEXT_MAX, 1)
  check('button value', button.value?.length ?? 0, BUTTON_VALUE_MAX)
  check('action_id', button.action_id?.length ?? 0, ID_MAX)
}

function checkInput(element: InputBlock['element'], check: Check, violations: string[]): void {
  const { type } = element
  if (type === 'plain_text_input') {
    check('placeholder', element.placeholder?.text.length ?? 0, PLACEHOLDER_TEXT_MAX)
    check('initial value', element.initial_value?.length ?? 0, TEXT_INPUT_MAX)
  } else if (type === 'static_select' || type === 'multi_static_select' || type === 'checkboxes') {
    check('options', element.options?.length ?? 0, type === 'checkboxes' ? CHECKBOXES_MAX : SELECT_OPTIONS_MAX, 1)
    for (const option of element.options ?? []) checkOption(option, check)
    if (type !== 'checkboxes') checkMenu(element, check)
  } else if (type === 'external_select' || type === 'multi_external_select') checkMenu(element, check)
  else violations.push(`an input with a ${type}, which is not known here`)
}

/** Checks what menus with and without options of their own have in common. */
function checkMenu(
  menu: Pick<ExternalSelect, 'placeholder' | 'action_id'> & { readonly initial_option?: Option; readonly initial_options?: Option[] },
  check: Check,
): void {
  check('placeholder', menu.placeholder?.text.length ?? 0, PLACEHOLDER_TEXT_MAX)
  check('action_id', menu.action_id?.length ?? 0, ID_MAX)
  for (const option of [...(menu.initial_option ? [menu.initial_option] : []), ...(menu.initial_options ?? [])]) checkOption(option, check)
}

function checkOption({ text, value, description }: Option, check: Check): void {
  check('option text', text.text.length, OPTION_TEXT_MAX, 1)
  check('option value', value?.length ?? 0, OPTION_VALUE_MAX, 1)
  check('option description', description?.text.length ?? 0, OPTION_TEXT_MAX)
}

/** Shortens a text to a limit with an ellipsis. Never splits a character. */
export function limitText(text: string, max: number): string {
  if (text.length <= max) return text
  let end = max - 1
  const before = text.charCodeAt(end - 1)
  if (before >= 0xd800 && before <= 0xdbff) end--
  return `${text.slice(0, end)}…`
}
