// An incident as an answer or a card: what was found, what it means, what to do next, and the buttons for that.

import { quoteOption, quoteWord } from '../views/quote.ts'
import type { Action, Field } from '../../protocol/views/view.ts'
import { STORE_STOPPED } from './conditions.ts'
import type { Incident } from './incidents.ts'
import { spellIncident } from './words.ts'

/** Finding, impact and next step, each on a line of its own. */
export function incidentFields({ finding, impact, action }: Incident): Field[] {
  const lines: Field[] = [
    { label: 'Finding', value: finding, isLine: true },
    { label: 'Impact', value: impact, isLine: true },
    { label: 'Next', value: action, isLine: true },
  ]
  return lines.filter(({ value }) => value !== '')
}

/** What people can do about an incident; nothing about a resolved one. */
export function incidentActions({ id, store, zone, condition, ackedBy, resolvedMs }: Incident, quiet: string | undefined): Action[] {
  if (resolvedMs !== null) return []
  const target = store === '' ? quoteOption('zone', zone) : `${quoteWord(store)} check=${condition}`
  const actions: Action[] = []
  if (ackedBy === null) actions.push({ label: 'Acknowledge', command: `alert ack ${spellIncident(id)}`, role: 'operator', style: 'primary' })
  if (quiet === undefined) actions.push({ label: 'Silence 2 h', command: `alert silence ${target} for=2h`, role: 'operator' })
  if (condition === STORE_STOPPED) actions.push({ label: `Reconnect ${store}`, command: `store reconnect ${quoteWord(store)}`, role: 'operator' })
  if (store !== '') actions.push({ label: `Health of ${store}`, command: `store health ${quoteWord(store)}`, role: 'viewer' })
  else actions.push({ label: `Health of ${zone}`, command: `store health ${quoteOption('zone', zone)}`, role: 'viewer' })
  return actions
}
