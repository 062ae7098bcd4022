// The rules by which Slack refuses buttons, menus and inputs.

import { isObject, textOf } from './shown.ts'
import type { Json } from './shown.ts'
import { addressRefusal, firstRefusal, lengthRefusal, listRefusal, optional, plainRefusal, textRefusal } from './text-rules.ts'
import type { Refusal } from './text-rules.ts'

const STYLES: ReadonlySet<unknown> = new Set([undefined, 'primary', 'danger'])
const OPTIONS_MAX = 100
/** Elements that may stand in an actions block or beside a section. */
const INTERACTIVE: ReadonlySet<string> = new Set([
  ...['button', 'overflow', 'static_select', 'external_select', 'users_select', 'conversations_select', 'channels_select'],
  ...['multi_static_select', 'multi_external_select', 'checkboxes', 'radio_buttons', 'datepicker', 'timepicker'],
])
/** Elements that may stand in an input block. */
const INPUTS: ReadonlySet<string> = new Set([
  ...['plain_text_input', 'number_input', 'url_text_input', 'email_text_input', 'datepicker', 'timepicker', 'checkboxes', 'radio_buttons'],
  ...['static_select', 'external_select', 'users_select', 'conversations_select', 'channels_select', 'multi_static_select', 'multi_external_select'],
])

/** Refuses an element of an actions block or an accessory of a section; `actionIds` has the ids of its block. */
export function interactiveRefusal(element: unknown, actionIds: Set<string>): Refusal {
  if (!isObject(element) || !INTERACTIVE.has(textOf(element['type'])))
    return `unsupported type: ${isObject(element) ? textOf(element['type']) : typeof element}`
  return elementRefusal(element, actionIds)
}

/** Refuses the element of an input block. */
export function inputElementRefusal(element: unknown): Refusal {
  if (!isObject(element) || !INPUTS.has(textOf(element['type']))) return `unsupported type: ${isObject(element) ? textOf(element['type']) : typeof element}`
  return elementRefusal(element, new Set())
}

/** Refuses the answer to a question for options: at most 100 options or groups of them. */
export function suggestionRefusal(answer: unknown): Refusal {
  if (!isObject(answer)) return 'options or option_groups are needed'
  // An empty list says that nothing matches.
  if (Array.isArray(answer['options']) && answer['options'].length === 0 && answer['option_groups'] === undefined) return undefined
  return choiceRefusal(answer)
}

function elementRefusal(element: Json, actionIds: Set<string>): Refusal {
  return firstRefusal([
    () => actionIdRefusal(element, actionIds),
    () => optional(element, 'confirm', confirmRefusal),
    () => optional(element, 'placeholder', (value) => plainRefusal(value, 150)),
    () => ownRefusal(element),
  ])
}

function actionIdRefusal({ action_id: id }: Json, actionIds: Set<string>): Refusal {
  if (id === undefined) return undefined
  if (typeof id !== 'string' || id.length === 0 || id.length > 255) return 'action_id has 1 to 255 characters'
  if (actionIds.has(id)) return `action_id ${id} already exists`
  actionIds.add(id)
  return undefined
}

function ownRefusal(element: Json): Refusal {
  switch (element['type']) {
    case 'button':
      return buttonRefusal(element)
    case 'overflow':
      return listRefusal(element['options'], 5, (option) => optionRefusal(option, true))
    case 'checkboxes':
    case 'radio_buttons':
      return listRefusal(element['options'], 10, (option) => optionRefusal(option, false, textRefusal))
    case 'static_select':
    case 'multi_static_select':
      return choiceRefusal(element)
    case 'external_select':
    case 'multi_external_select':
      return optional(element, 'initial_option', (option) => optionRefusal(option, false))
    case 'plain_text_input':
      return textInputRefusal(element)
    case 'number_input':
      return typeof element['is_decimal_allowed'] === 'boolean' ? undefined : 'is_decimal_allowed is needed'
    case 'datepicker':
      return optional(element, 'initial_date', (date) => (/^\d{4}-\d{2}-\d{2}$/.test(textOf(date)) ? undefined : 'must be YYYY-MM-DD'))
    case 'timepicker':
      return optional(element, 'initial_time', (time) => (/^([01]\d|2[0-3]):[0-5]\d$/.test(textOf(time)) ? undefined : 'must be HH:mm'))
    default:
      return undefined
  }
}

function buttonRefusal(element: Json): Refusal {
  return firstRefusal([
    () => lengthRefusal(element, 'value', 2000),
    () => (element['url'] === undefined ? undefined : addressRefusal(element, 'url')),
    () => (STYLES.has(element['style']) ? undefined : `style ${textOf(element['style'])} is not known`),
    () => lengthRefusal(element, 'accessibility_label', 75),
    () => plainRefusal(element['text'], 75),
  ])
}

function textInputRefusal(element: Json): Refusal {
  const { min_length: min, max_length: max, initial_value: initial } = element
  if (min !== undefined && !isBetween(min, 0, 3000)) return 'min_length is between 0 and 3000'
  if (max !== undefined && !isBetween(max, 1, 3000)) return 'max_length is between 1 and 3000'
  if (typeof min === 'number' && typeof max === 'number' && min > max) return 'min_length is greater than max_length'
  if (initial !== undefined && typeof initial !== 'string') return 'initial_value must be a string'
  return typeof initial === 'string' && initial.length > (typeof max === 'number' ? max : 3000) ? 'initial_value is too long' : undefined
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

function confirmRefusal(confirm: unknown): Refusal {
  if (!isObject(confirm)) return 'must be an object'
  return firstRefusal([
    () => named('title', plainRefusal(confirm['title'], 100)),
    () => named('text', textRefusal(confirm['text'], 300)),
    () => named('confirm', plainRefusal(confirm['confirm'], 30)),
    () => named('deny', plainRefusal(confirm['deny'], 30)),
    () => (STYLES.has(confirm['style']) ? undefined : `style ${textOf(confirm['style'])} is not known`),
  ])
}

/** The options of a select: a list of them or of groups, not both, with an initial one that is among them. */
function choiceRefusal(element: Json): Refusal {
  const { options, option_groups: groups, initial_option: initial } = element
  if ((options === undefined) === (groups === undefined)) return 'either options or option_groups are needed'
  const values: unknown[] = []
  const keep = (option: unknown): Refusal => {
    if (isObject(option)) values.push(option['value'])
    return optionRefusal(option, false)
  }
  const refusal = groups === undefined ? listRefusal(options, OPTIONS_MAX, keep) : listRefusal(groups, OPTIONS_MAX, (group) => groupRefusal(group, keep))
  if (refusal !== undefined) return refusal
  if (initial !== undefined && !(isObject(initial) && values.includes(initial['value']))) return 'initial_option is not among the options'
  return undefined
}

function groupRefusal(group: unknown, each: (option: unknown) => Refusal): Refusal {
  if (!isObject(group)) return 'a group must be an object'
  return named('label', plainRefusal(group['label'], 75)) ?? listRefusal(group['options'], OPTIONS_MAX, each)
}

function optionRefusal(option: unknown, mayLink: boolean, textRule: (text: unknown, max: number) => Refusal = plainRefusal): Refusal {
  if (!isObject(option)) return 'an option must be an object'
  const { value, url } = option
  return firstRefusal([
    () => textRule(option['text'], 75),
    () => (typeof value === 'string' && value.length > 0 && value.length <= 150 ? undefined : 'value has 1 to 150 characters'),
    () => optional(option, 'description', (description) => textRule(description, 75)),
    () => (url === undefined ? undefined : mayLink ? addressRefusal(option, 'url') : 'url is for overflow menus'),
  ])
}

function named(member: string, refusal: Refusal): Refusal {
  return refusal === undefined ? undefined : `${member}: ${refusal}`
}
