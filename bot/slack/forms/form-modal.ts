// The form of a command as a modal, and what was filled in as Slack sends it. Slack has no input that hides what is typed: a secret is shown to the person who types
// it, and never comes back in a modal.

import type { InputBlock, KnownBlock, ModalView, PlainTextOption } from '@slack/types'
import type { FormField, FormValues } from '../../../protocol/views/form-field.ts'
import {
  CHECKBOXES_MAX,
  LABEL_TEXT_MAX,
  limitText,
  OPTION_TEXT_MAX,
  OPTION_VALUE_MAX,
  PLACEHOLDER_TEXT_MAX,
  SELECT_OPTIONS_MAX,
  TEXT_INPUT_MAX,
} from '../../views/slack-limits.ts'
import { section } from '../../views/block-parts.ts'
import type { Form } from '../../../protocol/views/view.ts'
import { GLYPHS, plainText } from '../../../protocol/views/phrases.ts'
import { modal } from '../modals.ts'

export const FORM_CALLBACK = 'slipway:form'
/** Block of the switches. */
const SWITCHES = 'switches'

const SECRET_HINT = 'Slack shows it while you type, to you alone; the bot never shows it.'

/** The elements of the state of a modal that forms have. */
interface FilledIn {
  readonly value?: string | null
  readonly selected_option?: { readonly value?: string } | null
  readonly selected_options?: readonly { readonly value?: string }[]
}

/** What a modal contains when it is submitted: by block, then by element. */
export type ModalState = Readonly<Record<string, Readonly<Record<string, FilledIn>>>>

/** Returns the modal of a form; `metadata` is the opaque id of what a submission does, `refusal` why an earlier one did nothing. */
export function formModal(form: Form, metadata: string, refusal?: string): ModalView {
  const { title, submit, fields, values, before } = form
  const keys = new Set(fields.map(({ key }) => key))
  const fixed = Object.entries(values).filter(([key]) => !keys.has(key))
  const switches = fields.filter(({ kind }) => kind === 'switch').slice(0, CHECKBOXES_MAX)
  const blocks: KnownBlock[] = [
    ...(refusal === undefined ? [] : [section({ text: `${GLYPHS.bad} ${refusal}` })]),
    ...fixed.map(([, value]) => section({ text: listOf(value).join(', ') })),
    ...fields.filter(({ kind }) => kind !== 'switch').map((field) => inputBlock(field, listOf(values[field.key] ?? before[field.key], field.isMany))),
    ...(switches.length === 0 ? [] : [switchesBlock(switches, values)]),
  ]
  return modal(blocks, { title, callback: FORM_CALLBACK, submit, metadata })
}

/** Returns what was filled in, by the keys of the fields. */
export function readForm(state: ModalState): FormValues {
  const values: Record<string, string | string[]> = {}
  for (const [block, elements] of Object.entries(state)) {
    for (const filled of Object.values(elements)) {
      const chosen = filled.selected_options?.map(({ value = '' }) => value)
      if (block === SWITCHES) for (const key of chosen ?? []) values[key] = 'true'
      else values[block] = chosen ?? filled.selected_option?.value ?? filled.value ?? ''
    }
  }
  return values
}

function inputBlock(field: FormField, initial: readonly string[]): InputBlock {
  const { key, label, hint, isRequired, isSecret } = field
  return {
    type: 'input',
    block_id: key,
    optional: !isRequired,
    label: plain(limitText(plainText(label), LABEL_TEXT_MAX)),
    hint: plain(limitText(plainText(isSecret ? `${hint} ${SECRET_HINT}` : hint), LABEL_TEXT_MAX)),
    element: elementOf(field, isSecret ? [] : initial),
  }
}

function elementOf({ key, kind, choices, example, isMany, label }: FormField, initial: readonly string[]): InputBlock['element'] {
  const options = choices.slice(0, SELECT_OPTIONS_MAX).map(optionOf)
  const isOption = (value: string): boolean => value !== '' && value.length <= OPTION_VALUE_MAX && (kind !== 'choice' || choices.includes(value))
  const chosen = initial.filter(isOption).map(optionOf)
  const [first] = chosen
  if (kind === 'text' || kind === 'switch') {
    const text = initial.join(',')
    return {
      type: 'plain_text_input',
      action_id: key,
      max_length: TEXT_INPUT_MAX,
      ...(example === undefined ? {} : { placeholder: plain(limitText(example, PLACEHOLDER_TEXT_MAX)) }),
      ...(text === '' ? {} : { initial_value: limitText(text, TEXT_INPUT_MAX) }),
    }
  }
  const placeholder = plain(limitText(`${kind === 'pick' ? 'Search' : 'Choose'}: ${label.toLowerCase()}`, PLACEHOLDER_TEXT_MAX))
  if (kind === 'choice')
    return isMany
      ? { type: 'multi_static_select', action_id: key, placeholder, options, ...(first ? { initial_options: chosen } : {}) }
      : { type: 'static_select', action_id: key, placeholder, options, ...(first ? { initial_option: first } : {}) }
  return isMany
    ? { type: 'multi_external_select', action_id: key, placeholder, min_query_length: 0, ...(first ? { initial_options: chosen } : {}) }
    : { type: 'external_select', action_id: key, placeholder, min_query_length: 0, ...(first ? { initial_option: first } : {}) }
}

function switchesBlock(switches: readonly FormField[], values: FormValues): InputBlock {
  const options = switches.map(({ key, label, hint }) => ({ ...optionOf(key), text: plain(label), description: plain(limitText(hint, OPTION_TEXT_MAX)) }))
  const chosen = options.filter(({ value }) => value !== undefined && values[value] === 'true')
  return {
    type: 'input',
    block_id: SWITCHES,
    optional: true,
    label: plain('Options'),
    element: { type: 'checkboxes', action_id: SWITCHES, options, ...(chosen.length > 0 ? { initial_options: chosen } : {}) },
  }
}

/** An option of a menu, whose text and value are the same. */
function optionOf(value: string): PlainTextOption {
  return { text: plain(limitText(plainText(value), OPTION_TEXT_MAX)), value }
}

function listOf(value: FormValues[string], isMany = false): readonly string[] {
  if (typeof value !== 'string') return value ?? []
  return isMany ? value.split(',').map((part) => part.trim()) : [value]
}

function plain(text: string): { type: 'plain_text'; text: string } {
  return { type: 'plain_text', text }
}
