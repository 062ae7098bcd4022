// A View as Block Kit: a header, facts, at most 15 rows a page, buttons with opaque ids, and the age of the answer.

import type { Button, KnownBlock } from '@slack/types'
import { context, section } from './block-parts.ts'
import {
  assertSlackLimits,
  BUTTON_TEXT_MAX,
  FALLBACK_TEXT_MAX,
  FIELD_TEXT_MAX,
  HEADER_TEXT_MAX,
  limitText,
  MESSAGE_BLOCKS_MAX,
  PLACEHOLDER_TEXT_MAX,
  SECTION_FIELDS_MAX,
  SECTION_TEXT_MAX,
} from './slack-limits.ts'
import { escape, slackText } from './slack-text.ts'
import type { Piece } from './slack-text.ts'
import type { Action, Column, Field, FollowedTask, Picker, Row, View } from '../../protocol/views/view.ts'
import { formatAgo, GLYPHS, isEnded, plainText, progressWords, UNKNOWN } from '../../protocol/views/phrases.ts'

export const ROWS_PER_PAGE = 15
const BUTTONS_MAX = 10
const NOTES_MAX = 8
const PROGRESS_MAX = 8
const BAR_WIDTH = 20
/** A longer value gets a section of its own, because a column would be too narrow for it. */
const FIELD_VALUE_WIDE = 120

/** Fields that are sentences in every View. */
const SENTENCES: ReadonlySet<string> = new Set(['Finding', 'Impact', 'Next'])

/** What a button does when it is pressed. The bot keeps it; the message does not contain it. */
export interface Press {
  readonly command: string
  readonly page: number
  readonly role: Action['role']
  /** Opens the confirmation of a destructive command, or a form. */
  readonly opens?: 'modal'
  /** For a picker: the choice is added to the command. */
  readonly picks?: { readonly subject: Picker['subject']; readonly key: string }
}

export interface BlocksOptions {
  readonly nowMs: number
  readonly page?: number
  /** The command that was asked, shown below the answer; empty for none. */
  readonly command: string
  /** Stores what a button does and returns its opaque id. Without it there are no buttons. */
  readonly register?: (press: Press) => string
}

export interface SlackMessage {
  readonly text: string
  readonly blocks: KnownBlock[]
}

/** The number of pages of a View. */
export function pageCount(view: View): number {
  return Math.max(1, Math.ceil(view.rows.length / ROWS_PER_PAGE))
}

/** Renders the message of a View, within Slack's limits. */
export function renderMessage(view: View, options: BlocksOptions): SlackMessage {
  const pages = pageCount(view)
  const page = Math.min(Math.max(0, options.page ?? 0), pages - 1)
  const rows = view.rows.slice(page * ROWS_PER_PAGE, (page + 1) * ROWS_PER_PAGE)
  const heading = view.tone === 'plain' ? view.title : `${GLYPHS[view.tone]} ${view.title}`
  const tail: KnownBlock[] = [...notes(view), ...pickers(view, options), ...buttons(view, options, page, pages), footer(view, options, page, pages)]
  const body: KnownBlock[] = [
    ...(view.text === '' ? [] : [section({ text: view.text })]),
    ...(view.document === undefined ? [] : [codeSection(view.document)]),
    ...fieldBlocks(view.fields),
    ...rows.map((row) => section(...rowPieces(view.columns, row))),
    ...view.progress
      .filter(({ task }) => !isEnded(task.state))
      .slice(0, PROGRESS_MAX)
      .map((followed) => section(...progressPieces(followed))),
  ]
  const room = MESSAGE_BLOCKS_MAX - tail.length - 1
  const shown =
    body.length <= room
      ? body
      : [...body.slice(0, room - 1), context({ text: `${body.length - room + 1} more parts are not shown here; the console shows all of them.` })]
  const blocks: KnownBlock[] = [
    { type: 'header', text: { type: 'plain_text', text: limitText(plainText(heading) || UNKNOWN, HEADER_TEXT_MAX) } },
    ...shown,
    ...tail,
  ]
  assertSlackLimits(blocks)
  return { text: limitText(escape(fallback(view)), FALLBACK_TEXT_MAX), blocks }
}

/** Fence of a code block. */
const FENCE = '```'

/** A section with a text as a code block, in which Slack formats nothing. */
export function codeSection(text: string): KnownBlock {
  const code = text.trimEnd().split('\n').map(escape).join('\n').replaceAll(FENCE, "'''")
  return {
    type: 'section',
    text: { type: 'mrkdwn', text: `${FENCE}${limitText(code, SECTION_TEXT_MAX - 2 * FENCE.length)}${FENCE}`, verbatim: true },
  }
}

function fallback(view: View): string {
  return view.text === '' ? view.title : `${view.title}: ${view.text}`
}

function fieldBlocks(fields: readonly Field[]): KnownBlock[] {
  const blocks: KnownBlock[] = []
  let narrow: Piece[][] = []
  let lines: Piece[] = []
  const flush = (): void => {
    if (narrow.length > 0) blocks.push({ type: 'section', fields: narrow.map((pieces) => slackText(pieces, FIELD_TEXT_MAX)) })
    if (lines.length > 0) blocks.push(section(...lines))
    narrow = []
    lines = []
  }
  for (const field of fields) {
    const mark = field.tone === undefined || field.tone === 'plain' ? '' : `${GLYPHS[field.tone]} `
    if (field.isLine || SENTENCES.has(field.label)) {
      if (narrow.length > 0) flush()
      lines.push(...linePieces(field.label, `${mark}${field.value}`, lines.length === 0))
      continue
    }
    if (lines.length > 0) flush()
    const pieces: Piece[] = [{ text: field.label, style: 'bold' }, { text: `\n${mark}${field.value}` }]
    if (field.value.length > FIELD_VALUE_WIDE) {
      flush()
      blocks.push(section(...pieces))
      continue
    }
    narrow.push(pieces)
    if (narrow.length === SECTION_FIELDS_MAX) flush()
  }
  flush()
  return blocks
}

/** `*Impact:* Uploads fail.` on a line of its own. */
function linePieces(label: string, value: string, isFirst: boolean): Piece[] {
  return [{ text: isFirst ? '' : '\n' }, { text: `${label}:`, style: 'bold' }, { text: ` ${value}` }]
}

/**
 * The first cell in bold with what belongs beside it, as in `*edge-a* · zone-1 · Stopped · since 06:54`; below it every other known cell, as in
 * `Free 12 GB · Used 3 GB`, and each sentence on a line of its own.
 */
function rowPieces(columns: readonly Column[], row: Row): Piece[] {
  const [first, ...others] = columns
  const glyph = row.tone === undefined ? '' : `${GLYPHS[row.tone]} `
  const cell = (column: Column): string => row.cells[column.key] ?? ''
  const known = others.filter((column) => cell(column) !== '' && cell(column) !== UNKNOWN)
  const beside = known
    .filter((column) => column.beside !== undefined)
    .map((column) => ` · ${column.beside === 'labelled' ? `${column.label.toLowerCase()} ` : ''}${cell(column)}`)
  const below = known.filter((column) => column.beside === undefined && !column.isLine).map((column) => `${column.label} ${cell(column)}`)
  const lines = known.filter((column) => column.isLine)
  return [
    { text: glyph },
    { text: first ? cell(first) : '', style: 'bold' },
    { text: beside.join('') },
    { text: below.length > 0 ? `\n${below.join(' · ')}` : '' },
    ...lines.flatMap((column) => linePieces(column.label, cell(column), false)),
  ]
}

function progressPieces({ store, task }: FollowedTask): Piece[] {
  const { done, total } = task.progress
  const filled = total === null || total === 0 ? undefined : Math.floor(Math.min(1, done / total) * BAR_WIDTH)
  const bar: Piece[] = filled === undefined ? [] : [{ text: `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`, style: 'code' }, { text: ' ' }]
  return [...bar, { text: `${store} ${task.state}: ${progressWords(task)}` }]
}

function notes(view: View): KnownBlock[] {
  const shown = view.notes.slice(0, NOTES_MAX).map((note) => context({ text: `▲ ${note}` }))
  return view.notes.length > NOTES_MAX ? [...shown, context({ text: `${view.notes.length - NOTES_MAX} more notes.` })] : shown
}

/** The action of pickers in messages; what follows is the opaque id of what a choice does. */
export const PICK_ACTION = 'pick:'

/** A menu in which a person searches for what the command lacks. Slack asks the bot for its options. */
function pickers({ picker }: View, { register }: BlocksOptions): KnownBlock[] {
  if (!picker || !register) return []
  const { label, subject, command, key } = picker
  const placeholder = { type: 'plain_text' as const, text: limitText(`Search: ${label.toLowerCase()}`, PLACEHOLDER_TEXT_MAX) }
  const id = register({ command, page: 0, role: 'viewer', picks: { subject, key } })
  return [{ type: 'actions', elements: [{ type: 'external_select', action_id: `${PICK_ACTION}${id}`, min_query_length: 0, placeholder }] }]
}

function buttons(view: View, { register, command }: BlocksOptions, page: number, pages: number): KnownBlock[] {
  if (!register) return []
  const elements: Button[] = []
  const add = (label: string, press: Press, style?: Action['style']): void => {
    const button: Button = {
      type: 'button',
      text: { type: 'plain_text', text: limitText(plainText(label), BUTTON_TEXT_MAX) || UNKNOWN },
      action_id: `slipway:${elements.length}`,
      value: register(press),
    }
    elements.push(style === undefined ? button : { ...button, style })
  }
  const isBlocked = view.confirm?.checklist.some((item) => !item.passed) ?? false
  if (view.confirm && !isBlocked) add('Type the name…', { command: view.confirm.command, page: 0, role: 'viewer', opens: 'modal' }, 'danger')
  if (view.form) add(`${view.form.title}…`, { command: view.form.line, page: 0, role: 'viewer', opens: 'modal' })
  for (const action of view.actions.slice(0, BUTTONS_MAX)) add(action.label, { command: action.command, page: 0, role: action.role }, action.style)
  if (command !== '' && page > 0) add('Previous', { command, page: page - 1, role: 'viewer' })
  if (command !== '' && page + 1 < pages) add('Next', { command, page: page + 1, role: 'viewer' })
  return elements.length === 0 ? [] : [{ type: 'actions', elements }]
}

function footer(view: View, options: BlocksOptions, page: number, pages: number): KnownBlock {
  const parts = [`as of ${formatAgo(view.asOfMs, options.nowMs)}`]
  if (pages > 1) parts.push(`page ${page + 1} of ${pages}`)
  const asked: Piece[] = options.command === '' ? [] : [{ text: ' · ' }, { text: `/slipway ${options.command}`, style: 'code' }]
  return context({ text: parts.join(' · ') }, ...asked)
}
