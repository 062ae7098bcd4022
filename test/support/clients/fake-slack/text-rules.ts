// The rules by which Slack refuses texts, lists and identifiers, written from its documentation. Every rule file here is independent of the bot's own
// rules, so that an error in one is not repeated in the other, and works on raw JSON, as Slack does.

import { isObject, textOf } from './shown.ts'
import type { Json } from './shown.ts'

/** A reason why Slack refuses something; undefined when it accepts it. */
export type Refusal = string | undefined

const PLAIN: readonly string[] = ['plain_text']
const ANY_TEXT: readonly string[] = ['plain_text', 'mrkdwn']

/** Refuses what is not a text object with 1 to `max` characters. */
export function textRefusal(element: unknown, max: number, types: readonly string[] = ANY_TEXT): Refusal {
  if (!isObject(element) || !types.includes(textOf(element['type']))) return `text must be ${types.join(' or ')}`
  const given = element['text']
  if (typeof given !== 'string' || given.length === 0) return 'must be more than 0 characters [json-pointer:/text]'
  return given.length > max ? `must be less than ${max + 1} characters (${given.length})` : undefined
}

/** Refuses what is not a plain text object with 1 to `max` characters. */
export function plainRefusal(element: unknown, max: number): Refusal {
  return textRefusal(element, max, PLAIN)
}

/** Refuses a list without elements or with more than `max`, and otherwise for its first element that is refused. */
export function listRefusal(list: unknown, max: number, each: (element: unknown) => Refusal): Refusal {
  if (!Array.isArray(list) || list.length === 0) return 'at least one element is needed'
  if (list.length > max) return `no more than ${max} elements allowed (${list.length})`
  return firstRefusal(list.map((element) => () => each(element)))
}

/** Refuses a member that is there and longer than `max`. */
export function lengthRefusal(owner: Json, member: string, max: number): Refusal {
  const { length } = textOf(owner[member])
  return length > max ? `${member} is longer than ${max}` : undefined
}

/** Refuses an address that is no text, empty, or longer than 3,000 characters. */
export function addressRefusal(owner: Json, member: string): Refusal {
  const given = owner[member]
  if (typeof given !== 'string' || !URL.canParse(given)) return `${member} must be a valid URL`
  return lengthRefusal(owner, member, 3000)
}

/** Applies a rule to a member that may be missing. */
export function optional(owner: Json, member: string, rule: (value: unknown) => Refusal): Refusal {
  const refusal = owner[member] === undefined ? undefined : rule(owner[member])
  return refusal === undefined ? undefined : `${member}: ${refusal}`
}

/** Returns the first refusal of several rules; later rules do not run. */
export function firstRefusal(rules: readonly (() => Refusal)[]): Refusal {
  for (const rule of rules) {
    const refusal = rule()
    if (refusal !== undefined) return refusal
  }
  return undefined
}
