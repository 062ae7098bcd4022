// The home tab as blocks: the fleet as one person may see it, the worst first. Each part has a bound, and all of them together have at most 61 of the
// 100 blocks that Slack takes, so that a fleet of any size fits; what is left out is a command away.

import type { Button, HomeView, KnownBlock } from '@slack/types'
import { roleIncludes } from '../../../protocol/access.ts'
import { incidentActions } from '../../alerts/incident-view.ts'
import type { Incident } from '../../alerts/incidents.ts'
import { incidentState, incidentTitle, severityTone, spellIncident } from '../../alerts/words.ts'
import { roleIn } from '../../commands/permit.ts'
import type { CommandActor } from '../../commands/command.ts'
import { forecastFields } from '../../commands/store/health/fleet-health.ts'
import { maintenanceNotes, stateCounts, stateText, storeActions, worstFirst } from '../../commands/store/show/store-rows.ts'
import type { Observation } from '../../fleet/judge.ts'
import { context, section } from '../../views/block-parts.ts'
import type { Press } from '../../views/blocks.ts'
import { asSentence, formatAgo, formatAt, GLYPHS, plainText, plural, stateTone, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { assertSlackLimits, BUTTON_TEXT_MAX, HEADER_TEXT_MAX, limitText } from '../../views/slack-limits.ts'
import type { Piece } from '../../views/slack-text.ts'
import type { Action, Tone } from '../../../protocol/views/view.ts'
import type { ZoneFinding } from '../../fleet/zones/findings.ts'

/** Alerts, stores and zones that are shown with their next steps. */
const ALERTS_SHOWN = 10
const STORES_SHOWN = 12
const ZONES_SHOWN = 5
/** Most characters of a sentence of an agent. */
const SENTENCE_MAX = 600

/** What the action_id of every button of a home, and of the windows that it opens, begins with. */
export const HOME_ACTION = 'slipway-home:'
/** The value of the button that publishes the home again. */
export const REFRESH = 'refresh'

/** What a home shows. */
export interface HomeFacts {
  readonly actor: CommandActor
  /** The role in words, with where it counts. */
  readonly roleText: string
  /** The stores that the person sees. */
  readonly seen: readonly Observation[]
  /** Open incidents of these stores and their zones, the most severe first. */
  readonly incidents: readonly Incident[]
  readonly quietOf: (incident: Incident) => string | undefined
  readonly zones: readonly ZoneFinding[]
  /** What changed since the person last looked; empty for the first look. */
  readonly changed: string
  /** Usual commands, already chosen for the person. */
  readonly usual: readonly Action[]
  /** The time of the oldest fact, in milliseconds since 1970. */
  readonly asOfMs: number
  readonly nowMs: number
}

/** Renders the home of a person with a role. `register` stores what a button does and returns its opaque id. */
export function homePage(facts: HomeFacts, register: (press: Press) => string): HomeView {
  const buttons = createButtons(facts.actor, register)
  const { seen, incidents, nowMs } = facts
  const troubled = worstFirst(seen).filter(({ state }) => state !== 'running')
  const [worst] = troubled
  const tone: Tone = worst ? stateTone(worst.state) : facts.zones.length + incidents.length > 0 ? 'warning' : 'good'
  const blocks: KnownBlock[] = [
    header(
      `${GLYPHS[tone]} ${seen.length === 0 ? 'No stores' : worst ? `${troubled.length} of ${plural(seen.length, 'store')} ${troubled.length === 1 ? 'needs' : 'need'} attention` : 'All stores are well'}`,
    ),
    section({ text: seen.length === 0 ? 'No store is registered where your role counts.' : `${plural(seen.length, 'store')}: ${stateCounts(seen)}.` }),
    ...(facts.changed === '' ? [] : [section({ text: 'Changed:', style: 'bold' }, { text: ` ${facts.changed}` })]),
    ...facts.zones.slice(0, ZONES_SHOWN).map(zoneSection),
    ...forecastFields(seen).map(({ label, value }) => section({ text: `${label}:`, style: 'bold' }, { text: ` ${value}` })),
    ...buttons.row([...facts.usual], true),
    ...(incidents.length === 0 ? [] : [header(`${plural(incidents.length, 'alert')} in force`)]),
    ...incidents.slice(0, ALERTS_SHOWN).flatMap((incident) => [alertSection(incident, facts.quietOf(incident)), ...buttons.alert(incident, facts)]),
    ...more(incidents.length - ALERTS_SHOWN, 'alert', 'alert list'),
    ...(troubled.length === 0 ? [] : [header('Stores, the worst first')]),
    ...troubled.slice(0, STORES_SHOWN).flatMap((one) => [storeSection(one, nowMs), ...buttons.row(storeActions(one, nowMs), false, one)]),
    ...more(troubled.length - STORES_SHOWN, 'store', 'store health'),
    ...maintenanceNotes(seen, nowMs).map((note) => context({ text: note })),
    context({ text: `as of ${formatAgo(facts.asOfMs, nowMs)} · ${facts.roleText}` }),
  ]
  return checked(blocks)
}

/** Renders the home of somebody without a role: what to do to get one, and no name of a store. */
export function strangerPage(user: string, { hasAdmin, isInChannels }: { readonly hasAdmin: boolean; readonly isInChannels: boolean }): HomeView {
  const next = isInChannels
    ? 'Your role counts in some channels only: ask there, for example /slipway store health.'
    : hasAdmin
      ? `Ask an admin of the bot to run: /slipway role grant viewer user=${user}`
      : 'No Slack user is an admin yet. Run /slipway role claim CODE with the code that the service printed when it was started; slipway role code prints another one on its machine.'
  return checked([
    header('Slipway: image stores and their health'),
    section({
      text: isInChannels ? 'You have no role outside these channels, so this page shows no stores.' : 'You have no role yet, so this page shows no stores.',
    }),
    section({ text: 'Next:', style: 'bold' }, { text: ` ${next}` }),
  ])
}

function checked(blocks: KnownBlock[]): HomeView {
  // A home tab has the limits of a modal.
  assertSlackLimits(blocks, 'modal')
  return { type: 'home', blocks }
}

function createButtons(actor: CommandActor, register: (press: Press) => string) {
  let count = 0
  const button = ({ label, command, role, style }: Action): Button => ({
    type: 'button',
    text: { type: 'plain_text', text: limitText(plainText(label), BUTTON_TEXT_MAX) || UNKNOWN },
    action_id: `${HOME_ACTION}${count++}`,
    value: register({ command, page: 0, role }),
    ...(style === undefined ? {} : { style }),
  })
  const block = (elements: Button[]): KnownBlock[] => (elements.length === 0 ? [] : [{ type: 'actions', elements }])
  const row = (actions: readonly Action[], hasRefresh: boolean, seen?: Observation): KnownBlock[] => {
    const role = roleIn(actor, seen?.record)
    const elements = actions.filter((action) => roleIncludes(role, action.role)).map(button)
    const refresh: Button = { type: 'button', text: { type: 'plain_text', text: 'Refresh' }, action_id: `${HOME_ACTION}${count++}`, value: REFRESH }
    return block(hasRefresh ? [...elements, refresh] : elements)
  }
  return {
    row,
    alert(incident: Incident, { seen, quietOf }: HomeFacts): KnownBlock[] {
      const store = seen.find(({ record }) => record.name.toLowerCase() === incident.store.toLowerCase())
      return row(incidentActions(incident, quietOf(incident)), false, store)
    },
  }
}

function alertSection(incident: Incident, quiet: string | undefined): KnownBlock {
  const { zone, severity, sinceMs, finding, action, id } = incident
  return section(
    { text: `${GLYPHS[severityTone(severity)]} ` },
    { text: incidentTitle(incident), style: 'bold' },
    { text: ` · ${zone || 'no zone'} · ${severity} · since ${formatAt(sinceMs)} · ${incidentState(incident, quiet)} · ${spellIncident(id)}` },
    ...line('Finding', finding),
    ...line('Next', action),
  )
}

function storeSection(one: Observation, nowMs: number): KnownBlock {
  const since = one.sinceMs === null ? '' : ` · since ${formatAt(one.sinceMs)}`
  return section(
    { text: `${GLYPHS[stateTone(one.state)]} ` },
    { text: one.record.name, style: 'bold' },
    { text: ` · ${one.record.zone || 'no zone'} · ${stateText(one, nowMs)}${since}` },
    ...line('Finding', one.finding),
    ...line('Impact', one.impact),
    ...line('Next', one.action),
  )
}

function zoneSection({ zone, finding, impact, action, stores }: ZoneFinding): KnownBlock {
  return section(
    { text: `${GLYPHS[stores.length === 0 ? 'warning' : 'bad']} ` },
    { text: `Zone ${zone}`, style: 'bold' },
    { text: `: ${limitText(`${asSentence(finding)} ${impact} ${action}`, SENTENCE_MAX)}` },
  )
}

function line(label: string, value: string): Piece[] {
  return value === '' ? [] : [{ text: '\n' }, { text: `${label}:`, style: 'bold' }, { text: ` ${limitText(value, SENTENCE_MAX)}` }]
}

/** How many are not shown, and the command that shows them. */
function more(count: number, noun: string, command: string): KnownBlock[] {
  return count > 0 ? [context({ text: `${plural(count, `more ${noun}`)}: ` }, { text: `/slipway ${command}`, style: 'code' })] : []
}

function header(text: string): KnownBlock {
  return { type: 'header', text: { type: 'plain_text', text: limitText(plainText(text), HEADER_TEXT_MAX) } }
}
