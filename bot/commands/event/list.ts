// `event list`: what happened in one store, a zone or the fleet, newest first.

import { severitySchema } from '../../../protocol/event.ts'
import type { Severity } from '../../../protocol/event.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { findImages } from '../image/find.ts'
import { roleIn } from '../permit.ts'
import type { CommandContext } from '../command.ts'
import type { EventPlace, KeptEvent } from '../../fleet/kept-events.ts'
import { formatAt, plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Action, Column, Tone } from '../../../protocol/views/view.ts'
import { parseCount, parseMoment } from '../option-values.ts'
import { defineCommand } from '../command.ts'
import { quoteOption } from '../../views/quote.ts'
import { FRESH_FLAG, someStores } from '../select.ts'
import { readEvents } from './read-events.ts'
import { visibleEvent } from './visible-event.ts'
import { refuseChoice } from '../refused-value.ts'

const EVENTS_DEFAULT = 50
const EVENTS_MAX = 1000

const COLUMNS: readonly Column[] = [
  { key: 'time', label: 'Time' },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'severity', label: 'Severity' },
  { key: 'type', label: 'Type' },
  { key: 'message', label: 'What' },
  { key: 'actor', label: 'By' },
  { key: 'subject', label: 'Subject', isMinor: true },
]

const TONES: Record<Severity, Tone> = { info: 'plain', warning: 'warning', error: 'bad' }

export const eventList = defineCommand({
  noun: 'event',
  verb: 'list',
  summary: 'Lists what happened in the stores, newest first',
  role: 'viewer',
  effect: 'read',
  options: {
    store: { about: 'only this store', value: 'S', subject: 'store' },
    zone: { about: 'only the stores of this zone', value: 'Z', subject: 'zone' },
    image: { about: 'only events about this image, by name or id; operators see them', value: 'I', subject: 'image' },
    type: { about: 'only types that begin with this, such as image or image.deleted', value: 'PREFIX' },
    severity: { about: 'at least this severe: info, warning, error', value: 'SEVERITY' },
    since: { about: 'from this time on: 2026-11-21, 2026-11-21T06:00:00Z, or 2h for two hours ago', value: 'TIME' },
    before: { about: 'only events before this time, or before the place that the page before names', value: 'PLACE' },
    limit: { about: `number of events, ${EVENTS_DEFAULT} by default`, value: 'N' },
  },
  flags: FRESH_FLAG,
  examples: ['event list', 'event list store=edge-a since=2h', 'event list severity=warning type=image', 'event list image=debian-12'],
  async run(context, { options, flags }) {
    const nowMs = context.clock.nowMs()
    const { store, zone, since, before } = options
    const limit = options.limit === undefined ? EVENTS_DEFAULT : parseCount('limit', options.limit, 1, EVENTS_MAX)
    const stores = someStores(context, store, zone)
    const filter = {
      subject: options.image === undefined ? undefined : await imageId(context, options.image),
      typePrefix: parseType(options.type),
      severities: parseSeverity(options.severity),
      sinceMs: since === undefined ? undefined : parseMoment('since', since, nowMs),
      before: before === undefined ? undefined : parsePlace(before, nowMs),
      limit,
    }
    const { events, notes, missing, skipped, asOfMs } = await readEvents(context, stores, filter, flags.has('fresh'))
    const roles = new Map(stores.map((record) => [record.name.toLowerCase(), roleIn(context.actor, record)]))
    const visible = events.slice(0, limit).map((event) => visibleEvent(event, roles.get(event.store.toLowerCase()) ?? 'viewer'))
    // That there are events about an image says that the image exists.
    const shown = filter.subject === undefined ? visible : visible.filter(({ subject }) => subject === filter.subject)
    const last = events.length > limit ? shown.at(-1) : undefined
    const next = last ? spellPlace(last) : null
    return makeView({
      title: 'Events',
      text: shown.length === 0 ? 'No events.' : `${plural(shown.length, 'event')}, newest first`,
      columns: shown.length === 0 ? [] : COLUMNS,
      rows: shown.map(({ timeMs, severity, store: name, type, message, actor, subject }) => ({
        tone: TONES[severity],
        cells: { time: formatAt(timeMs), store: name, severity, type, message, actor, subject },
      })),
      notes: [...(next === null ? [] : [`Older events: add before=${next}.`]), ...notes],
      actions: next === null ? [] : [olderAction(options, flags.has('fresh'), next)],
      asOfMs,
      json: {
        items: shown.map(({ timeMs, ...event }) => ({ ...event, time: formatTime(timeMs) })),
        next,
        missing,
        skipped: skipped.map(({ store: name, ms }) => ({ store: name, at: formatTime(ms) })),
        asOf: formatTime(asOfMs),
      },
    })
  },
})

/** Returns the id of the image that somebody means. An image that was purged is in no list, but has events. */
async function imageId(context: CommandContext, text: string): Promise<string> {
  if (/^img_[0-9a-z]{26}$/.test(text)) return text
  const { found, notes } = await findImages(context, text, context.fleet.registry.list(), 'both')
  const ids = [...new Set(found.map(({ image }) => image.id))]
  const [id] = ids
  if (id === undefined)
    throw problem('not-found', [`No store has an image "${text}".`, ...notes].join(' '), {
      action: 'List them with image list; use the id of one that was purged.',
    })
  if (ids.length > 1) throw problem('conflict', `${ids.length} images match "${text}": ${ids.join(', ')}.`, { action: 'Use the id.' })
  return id
}

function parseType(text: string | undefined): string | undefined {
  if (text !== undefined && !/^[a-z0-9.-]{1,100}$/i.test(text))
    throw problem('invalid-input', `type=${text} is not the beginning of a type.`, { action: 'Write it as image, or as image.deleted.' })
  return text?.toLowerCase()
}

/** Returns the severities that are at least this one. */
function parseSeverity(text: string | undefined): readonly Severity[] | undefined {
  if (text === undefined) return undefined
  const known = severitySchema.options
  const at = known.findIndex((severity) => severity === text)
  if (at === -1) throw refuseChoice('severity', text, known)
  return at === 0 ? undefined : known.slice(at)
}

/** Spells the place of an event for the next page: `1763708089123/edge-a/17`. */
function spellPlace({ timeMs, store, id }: KeptEvent): string {
  return `${timeMs}/${store}/${id}`
}

/** Parses a place that an earlier page named, or a time. Throws `invalid-input`. */
function parsePlace(text: string, nowMs: number): EventPlace {
  const match = /^(-?\d{1,16})\/([\w.-]{1,63})\/(\d{1,16})$/.exec(text)
  return match ? { timeMs: Number(match[1]), store: match[2] ?? '', id: Number(match[3]) } : { timeMs: parseMoment('before', text, nowMs) }
}

/** The command for the next page: the same filters, after the last event that was shown. */
function olderAction(options: Readonly<Partial<Record<string, string>>>, isFresh: boolean, before: string): Action {
  const given = Object.entries({ ...options, before }).flatMap(([key, value]) => (value === undefined ? [] : [quoteOption(key, value)]))
  return { label: 'Older events', command: ['event list', ...given, ...(isFresh ? ['--fresh'] : [])].join(' '), role: 'viewer' }
}
