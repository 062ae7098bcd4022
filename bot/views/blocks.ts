// A View as Block Kit: a header, facts, at most 15 rows a page, buttons with opaque ids, and the age of the answer.

import type { Button, KnownBlock } from '@slack/types'
import {
  assertSlackLimits,
  BUTTON_TEXT_MAX,
  CONTEXT_TEXT_MAX,
  FALLBACK_TEXT_MAX,
  FIELD_TEXT_MAX,
  HEADER_TEXT_MAX,
  limitText,
  MESSAGE_BLOCKS_MAX,
  SECTION_FIELDS_MAX,
  SECTION_TEXT_MAX,
} from './slack-limits.ts'
import type { Action, Column, Field, FollowedTask, Row, View } from './view.ts'
import { formatAgo, GLYPHS, isEnded, plainText, progressWords, UNKNOWN } from './phrases.ts'

export const ROWS_PER_PAGE = 15
const BUTTONS_MAX = 10
const NOTES_MAX = 8
const PROGRESS_MAX = 8
const BAR_WIDTH = 20
/** A longer value gets a section of its own, because a column would be too narrow for it. */
const FIELD_VALUE_WIDE = 120

/** What a button does when it is pressed. The bot keeps it; the message does not contain it. */
export interface Press {
  readonly command: string
  readonly page: number
  readonly role: Action['role']
  /** Opens the confirmation of a destructive command. */
  readonly opens?: 'modal'
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
  const tail: KnownBlock[] = [...notes(view), ...buttons(view, options, page, pages), footer(view, options, page, pages)]
  const body: KnownBlock[] = [
    ...(view.text === '' ? [] : [section(escape(view.text))]),
    ...(view.document === undefined ? [] : [section(codeBlock(view.document))]),
    ...fieldBlocks(view.fields),
    ...rows.map((row) => section(rowText(view.columns, row))),
    ...view.progress
      .filter(({ task }) => !isEnded(task.state))
      .slice(0, PROGRESS_MAX)
      .map((followed) => section(progressText(followed))),
  ]
  const room = MESSAGE_BLOCKS_MAX - tail.length - 1
  const shown =
    body.length <= room
      ? body
      : [...body.slice(0, room - 1), context(`${body.length - room + 1} more parts are not shown here; the console shows all of them.`)]
  const blocks: KnownBlock[] = [
    { type: 'header', text: { type: 'plain_text', text: limitText(plainText(heading) || UNKNOWN, HEADER_TEXT_MAX) } },
    ...shown,
    ...tail,
  ]
  assertSlackLimits(blocks)
  return { text: limitText(escape(fallback(view)), FALLBACK_TEXT_MAX), blocks }
}

/** Escapes `&`, `<` and `>`, which are markup in Slack, so that a text cannot mention people or contain links. */
export function escape(text: string): string {
  return plainText(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Fence of a code block. */
const FENCE = '```'

/** A text as a code block, in which Slack formats nothing. */
export function codeBlock(text: string): string {
  const code = text.trimEnd().split('\n').map(escape).join('\n').replaceAll(FENCE, "'''")
  return `${FENCE}${limitText(code, SECTION_TEXT_MAX - 2 * FENCE.length)}${FENCE}`
}

function fallback(view: View): string {
  return view.text === '' ? view.title : `${view.title}: ${view.text}`
}

function section(text: string): KnownBlock {
  return { type: 'section', text: { type: 'mrkdwn', text: limitText(text, SECTION_TEXT_MAX) || UNKNOWN } }
}

function context(text: string): KnownBlock {
  return { type: 'context', elements: [{ type: 'mrkdwn', text: limitText(text, CONTEXT_TEXT_MAX) || UNKNOWN }] }
}

function fieldBlocks(fields: readonly Field[]): KnownBlock[] {
  const blocks: KnownBlock[] = []
  let narrow: string[] = []
  const flush = (): void => {
    if (narrow.length > 0) blocks.push({ type: 'section', fields: narrow.map((text) => ({ type: 'mrkdwn' as const, text })) })
    narrow = []
  }
  for (const field of fields) {
    const mark = field.tone === undefined || field.tone === 'plain' ? '' : `${GLYPHS[field.tone]} `
    const text = `*${escape(field.label)}*\n${mark}${escape(field.value)}`
    if (field.value.length > FIELD_VALUE_WIDE) {
      flush()
      blocks.push(section(text))
      continue
    }
    narrow.push(limitText(text, FIELD_TEXT_MAX))
    if (narrow.length === SECTION_FIELDS_MAX) flush()
  }
  flush()
  return blocks
}

/** The first cell in bold, then every other known cell: `Zone zone-1 · Free 12 GB`. */
function rowText(columns: readonly Column[], row: Row): string {
  const [first, ...others] = columns
  const glyph = row.tone === undefined ? '' : `${GLYPHS[row.tone]} `
  const cell = (column: Column): string => row.cells[column.key] ?? ''
  const rest = others.filter((column) => cell(column) !== '' && cell(column) !== UNKNOWN).map((column) => `${escape(column.label)} ${escape(cell(column))}`)
  return `${glyph}*${escape(first ? cell(first) : '')}*${rest.length > 0 ? `\n${rest.join(' · ')}` : ''}`
}

function progressText({ store, task }: FollowedTask): string {
  const { done, total } = task.progress
  const filled = total === null || total === 0 ? undefined : Math.floor(Math.min(1, done / total) * BAR_WIDTH)
  const bar = filled === undefined ? '' : `\`${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}\` `
  return `${bar}${escape(store)} ${task.state}: ${escape(progressWords(task))}`
}

function notes(view: View): KnownBlock[] {
  const shown = view.notes.slice(0, NOTES_MAX).map((note) => context(`▲ ${escape(note)}`))
  return view.notes.length > NOTES_MAX ? [...shown, context(`${view.notes.length - NOTES_MAX} more notes.`)] : shown
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
  for (const action of view.actions.slice(0, BUTTONS_MAX)) add(action.label, { command: action.command, page: 0, role: action.role }, action.style)
  if (command !== '' && page > 0) add('Previous', { command, page: page - 1, role: 'viewer' })
  if (command !== '' && page + 1 < pages) add('Next', { command, page: page + 1, role: 'viewer' })
  return elements.length === 0 ? [] : [{ type: 'actions', elements }]
}

function footer(view: View, options: BlocksOptions, page: number, pages: number): KnownBlock {
  const parts = [`as of ${formatAgo(view.asOfMs, options.nowMs)}`]
  if (pages > 1) parts.push(`page ${page + 1} of ${pages}`)
  if (options.command !== '') parts.push(`\`/slipway ${escape(options.command).replaceAll('`', "'")}\``)
  return context(parts.join(' · '))
}
