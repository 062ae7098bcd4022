// A View as text for a terminal. Without a width (a pipe, a file) nothing is wrapped. Colours only repeat what glyphs and words say.

import type { Column, Field, FollowedTask, Row, Tone, View } from '../../protocol/views/view.ts'
import { sparklines } from './sparkline.ts'
import { formatAgo, GLYPHS, isEnded, plainText, progressWords, taskTone } from '../../protocol/views/phrases.ts'

export interface TerminalStyle {
  /** Columns of the terminal; undefined when text is not wrapped. */
  readonly width: number | undefined
  readonly color: boolean
  readonly nowMs: number
}

const COLORS: Record<Tone | 'title' | 'dim', string> = { good: '32', warning: '33', bad: '31', plain: '0', title: '1', dim: '2' }
const COLUMN_GAP = '  '
/** The smallest width of a table's column; below it, each row is printed as a list of fields. */
const COLUMN_WIDTH_MIN = 10
const BAR_WIDTH = 30

/** Renders a View, without a final line end. */
export function renderTerminal(view: View, style: TerminalStyle): string {
  if (view.document !== undefined) return plainLines(view.document)
  const paint = (tone: keyof typeof COLORS, text: string): string => (style.color && text !== '' ? `\u001b[${COLORS[tone]}m${text}\u001b[0m` : text)
  const glyph = view.tone === 'plain' ? '' : `${paint(view.tone, GLYPHS[view.tone])} `
  const parts: string[] = [`${glyph}${paint('title', plainText(view.title))}`]
  if (view.text !== '') parts.push(wrap(plainText(view.text), style.width).join('\n'))
  if (view.fields.length > 0) parts.push(fieldLines(view.fields, style, paint).join('\n'))
  if (view.rows.length > 0) parts.push(tableLines(view.columns, view.rows, style, paint).join('\n'))
  if (view.charts?.length) parts.push(sparklines(view.charts, style.width).map(plainText).join('\n'))
  for (const followed of view.progress.filter(({ task }) => !isEnded(task.state))) parts.push(progressLine(followed, paint))
  const blocked = view.confirm?.checklist.some((item) => !item.passed) ?? false
  if (view.confirm && !blocked) parts.push(`Type ${plainText(view.confirm.name)} to confirm.`)
  for (const note of view.notes) parts.push(wrap(`! ${plainText(note)}`, style.width).join('\n'))
  // Destructive commands are offered as buttons in Slack and never suggested as the next command.
  const next = view.actions.filter((action) => action.command !== '' && action.style !== 'danger')
  if (next.length > 0) parts.push(next.map((action, i) => paint('dim', `${i === 0 ? 'Next:' : '     '} ${plainText(action.command)}`)).join('\n'))
  parts.push(paint('dim', `as of ${formatAgo(view.asOfMs, style.nowMs)}`))
  return parts.join('\n')
}

/** The text with its line ends, and `?` for what could control a terminal. */
function plainLines(text: string): string {
  return text.trimEnd().split('\n').map(plainText).join('\n')
}

/** One line that is overwritten while work is in progress. */
export function renderProgress(view: View, width: number): string {
  const line = view.progress.map((followed) => progressLine(followed, (_tone, text) => text)).join('  ')
  return cut(`${plainText(view.title)}  ${line}`, Math.max(20, width - 1))
}

type Paint = (tone: Tone | 'title' | 'dim', text: string) => string

function progressLine({ store, task }: FollowedTask, paint: Paint): string {
  const { done, total } = task.progress
  const share = total === null || total === 0 ? undefined : Math.min(1, done / total)
  const filled = Math.floor((share ?? 0) * BAR_WIDTH)
  const bar = share === undefined ? '' : `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] `
  const word = isEnded(task.state) ? paint(taskTone(task.state), task.state) : task.state
  return `${store} ${word} ${bar}${progressWords(task)}`
}

function fieldLines(fields: readonly Field[], style: TerminalStyle, paint: Paint): string[] {
  const labelWidth = Math.max(...fields.map((field) => Bun.stringWidth(field.label)))
  const room = style.width === undefined ? undefined : Math.max(20, style.width - labelWidth - 4)
  return fields.flatMap((field) => {
    const tone = field.tone ?? 'plain'
    const lines = wrap(plainText(field.value), room)
    const mark = tone === 'plain' ? '' : `${GLYPHS[tone]} `
    return lines.map((line, i) => {
      const label = i === 0 ? pad(plainText(field.label), labelWidth) : ' '.repeat(labelWidth)
      return `  ${paint('dim', label)}  ${tone === 'plain' ? line : paint(tone, i === 0 ? `${mark}${line}` : line)}`
    })
  })
}

function tableLines(all: readonly Column[], rows: readonly Row[], style: TerminalStyle, paint: Paint): string[] {
  const cell = (row: Row, column: Column): string => plainText(row.cells[column.key] ?? '')
  const hasTones = rows.some((row) => row.tone !== undefined)
  const lead = hasTones ? '  ' : ''
  const room = style.width === undefined ? undefined : style.width - lead.length
  const naturals = new Map(all.map((column) => [column, Math.max(Bun.stringWidth(column.label), ...rows.map((row) => Bun.stringWidth(cell(row, column))))]))
  let columns = all
  let widths = fit(columns, naturals, room)
  while (!widths) {
    const dropped = columns.findLast((column) => column.isMinor)
    if (!dropped) return rows.flatMap((row, i) => [...(i === 0 ? [] : ['']), ...recordLines(all, row, style, paint)])
    columns = columns.filter((column) => column !== dropped)
    widths = fit(columns, naturals, room)
  }
  const fitted = widths
  const head = columns.map((column, i) => align(column.label.toUpperCase(), fitted[i] ?? 0, column.align)).join(COLUMN_GAP)
  const lines = [paint('dim', `${lead}${head}`.trimEnd())]
  for (const row of rows) {
    const cells = columns.map((column, i) => wrap(cell(row, column), style.width === undefined ? undefined : (fitted[i] ?? 0)))
    const height = Math.max(...cells.map((part) => part.length))
    for (let line = 0; line < height; line++) {
      const texts = columns.map((column, i) => align(cells[i]?.[line] ?? '', fitted[i] ?? 0, column.align))
      const mark = !hasTones ? '' : line === 0 ? `${paint(row.tone ?? 'plain', GLYPHS[row.tone ?? 'plain'])} ` : lead
      lines.push(`${mark}${texts.join(COLUMN_GAP)}`.trimEnd())
    }
  }
  return lines
}

function recordLines(columns: readonly Column[], row: Row, style: TerminalStyle, paint: Paint): string[] {
  const fields = columns.map((column, i) => ({ label: column.label, value: row.cells[column.key] ?? '', ...(i === 0 && row.tone ? { tone: row.tone } : {}) }))
  return fieldLines(fields, style, paint)
}

/** Column widths that fit: the widest columns that may be wrapped are narrowed. Undefined when no widths fit. */
function fit(columns: readonly Column[], naturals: ReadonlyMap<Column, number>, width: number | undefined): number[] | undefined {
  const widths = columns.map((column) => naturals.get(column) ?? 0)
  const gaps = COLUMN_GAP.length * Math.max(0, widths.length - 1)
  const total = (): number => widths.reduce((sum, one) => sum + one, 0) + gaps
  while (width !== undefined && total() > width) {
    const present = Math.max(0, ...widths.filter((_, i) => !columns[i]?.isWhole))
    if (present <= COLUMN_WIDTH_MIN) return undefined
    widths[widths.findIndex((one, i) => one === present && !columns[i]?.isWhole)] = present - 1
  }
  return widths
}

/** Lines of at most this width, broken at spaces where possible. */
function wrap(text: string, width: number | undefined): string[] {
  if (width === undefined || Bun.stringWidth(text) <= width) return [text]
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    let rest = word
    const joined = line === '' ? rest : `${line} ${rest}`
    if (Bun.stringWidth(joined) <= width) {
      line = joined
      continue
    }
    if (line !== '') lines.push(line)
    while (Bun.stringWidth(rest) > width) {
      const piece = cut(rest, width, '')
      lines.push(piece)
      rest = rest.slice(piece.length)
    }
    line = rest
  }
  if (line !== '') lines.push(line)
  return lines
}

function cut(text: string, width: number, mark = '…'): string {
  if (Bun.stringWidth(text) <= width) return text
  let shown = ''
  for (const character of text) {
    if (shown !== '' && Bun.stringWidth(shown + character) > width - mark.length) break
    shown += character
  }
  return shown + mark
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - Bun.stringWidth(text)))
}

function align(text: string, width: number, side: 'right' | undefined): string {
  const space = ' '.repeat(Math.max(0, width - Bun.stringWidth(text)))
  return side === 'right' ? space + text : text + space
}
