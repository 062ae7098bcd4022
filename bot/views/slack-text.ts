// Texts for Slack. Slack formats `*bold*`, `_italic_`, `~struck~` and `code` in mrkdwn and knows no escape for them, so a text in which a name could do that is
// sent as plain text, in which Slack formats nothing. Times are date tokens, which Slack shows in the time zone of the reader.

import type { MrkdwnElement, PlainTextElement } from '@slack/types'
import { plainText, UNKNOWN } from '../../protocol/views/phrases.ts'
import { limitText } from './slack-limits.ts'

/** A part of a text. The style is lost where the text is sent as plain text. */
export interface Piece {
  readonly text: string
  readonly style?: 'bold' | 'code'
}

/** A marker that starts or ends something: `_` inside of a word does not. */
const MARKUP = /[*~`]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|^\s*>/mu
/** A time as `formatAt` shows it. */
const TIME = /\b(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) UTC\b/g

/** Joins pieces to a text element of at most `max` characters. */
export function slackText(pieces: readonly Piece[], max: number): MrkdwnElement | PlainTextElement {
  if (pieces.some(({ text }) => MARKUP.test(text)))
    return { type: 'plain_text', text: limitText(pieces.map(({ text }) => plainLines(text)).join(''), max) || UNKNOWN, emoji: false }
  const marked = pieces.map(markedText).join('')
  const dated = withDates(marked)
  // A token that is cut would be shown as it is.
  return { type: 'mrkdwn', text: (dated.length <= max ? dated : limitText(marked, max)) || UNKNOWN, verbatim: true }
}

/** Escapes `&`, `<` and `>`, which are markup in Slack, so that a text cannot mention people or contain links. */
export function escape(text: string): string {
  return plainText(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function markedText({ text, style }: Piece): string {
  const escaped = text.split('\n').map(escape).join('\n')
  if (style === undefined || escaped.trim() === '') return escaped
  return style === 'bold' ? `*${escaped}*` : `\`${escaped}\``
}

function plainLines(text: string): string {
  return text.split('\n').map(plainText).join('\n')
}

/** The text with each time as a date token; where Slack shows no tokens, the time in UTC is read. */
function withDates(text: string): string {
  return text.replaceAll(TIME, (whole: string, day: string, time: string) => {
    const ms = Date.parse(`${day}T${time}Z`)
    return Number.isNaN(ms) ? whole : `<!date^${ms / 1000}^{date_short_pretty} {time_secs}|${whole}>`
  })
}
