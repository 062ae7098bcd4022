// Plays a session of the console: runs its lines one after another against a scripted fleet, and writes down everything that a person or a script would see.

import { roleSchema } from '../../../../protocol/access.ts'
import type { Tone, View } from '../../../../protocol/views/view.ts'
import type { ScriptedFleet } from '../scripted-fleet.ts'

const MARKS: Readonly<Record<Tone, string>> = { good: '+', warning: '!', bad: 'x', plain: '-' }
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Secrets that are drawn at random, in links into the page. */
const RANDOM = /(?<before>\/enter\/)[\w-]{43}/g

/** The options in a usage line: the tests of the grammar are about them. */
const OPTIONS = /(?<before>Usage: [\w-]+ [\w-]+) [^.]*/

/** A step of a session: `admin> image list`, `slack viewer bob, operator in edge-a> image list`, or `(2h later)`. */
const STEP =
  /^(?:(?<surface>slack |page )?(?<role>viewer|uploader|operator|admin)(?: (?<name>\w+))?(?:, (?<roleThere>\w+) in (?<store>\S+))?> (?<line>.*)|\((?<count>\d+)(?<unit>[smhd]) later\))$/

/**
 * Returns the session with what is seen now after each of its lines: requests begin with `>`, titles with the mark of their
 * tone. Lines that the answer before had too are only counted.
 */
export async function play(fleet: ScriptedFleet, session: string): Promise<string> {
  const shown: string[] = []
  let before: ReadonlySet<string> = new Set()
  for (const step of session.split('\n').filter((line) => STEP.test(line))) {
    const { surface, role, name, roleThere, store, line, count, unit } = STEP.exec(step)?.groups ?? {}
    shown.push(step)
    if (line === undefined) {
      fleet.clock.advance(Number(count) * (UNITS[unit ?? ''] ?? 0))
      continue
    }
    fleet.sent.length = 0
    const there = store === undefined ? {} : { there: { store, role: roleSchema.parse(roleThere) } }
    const asked = { role: roleSchema.parse(role), ...(name !== undefined && { name }), ...there }
    const view = await fleet.run(line, { ...asked, surface: surface === 'slack ' ? 'slack' : surface === 'page ' ? 'page' : 'console' })
    const [title = '', ...lines] = linesOf(view, fleet.clock.nowMs()).map((one) => one.replaceAll(RANDOM, '$<before>(random)').replace(OPTIONS, '$<before> …'))
    const changed = lines.filter((one) => !before.has(one))
    const same = lines.length - changed.length
    shown.push(...fleet.sent.filter(isTelling).map((request) => `> ${request}`), title, ...changed, ...(same === 0 ? [] : [`  = ${same} as before`]), '')
    before = new Set(lines)
  }
  return `\n${shown.join('\n')}`
}

/** Requests that only read a list from its beginning say nothing. */
function isTelling(request: string): boolean {
  return !/^\S+ GET \/\S*?(?:\?limit=\d+)?$/.test(request)
}

function linesOf(view: View, nowMs: number): string[] {
  const { outcome, title, text, tone, fields, columns, rows, progress, actions, notes, form, picker, confirm, followedLink } = view
  return [
    `${MARKS[tone]} ${title}${outcome === 'done' ? '' : ` (${outcome})`}${view.isPrivate ? ' (private)' : ''}${view.asOfMs === nowMs ? '' : ` (${(nowMs - view.asOfMs) / 1000} s old)`}`,
    ...(text === '' ? [] : [`  ${text}`]),
    ...fields.map(({ label, value, tone: mark, isLine }) => `  ${label}${isLine ? ' |' : ':'} ${mark && mark !== 'plain' ? `${MARKS[mark]} ` : ''}${value}`),
    ...(rows.length === 0 && columns.length === 0 ? [] : [`  [${columns.map(columnText).join(' | ')}]`]),
    ...rows.map((row) => `  ${row.tone ? MARKS[row.tone] : ''}[${columns.map(({ key }) => row.cells[key] ?? '?').join(' | ')}]`),
    ...progress.map(({ store, task }) => `  follows ${store} ${task.id} ${task.state}`),
    ...(form ? [`  form ${form.title}: ${JSON.stringify(form.values)} | ${JSON.stringify(form.before)}`] : []),
    ...(picker ? [`  pick ${picker.label} (${picker.subject}) for ${picker.key} of ${picker.command}`] : []),
    ...(confirm
      ? [
          `  type ${confirm.name}: ${confirm.question}`,
          ...(confirm.promises ?? []).map(({ label, value }) => `    ${label}: ${value}`),
          ...confirm.checklist.map(({ label, passed, detail }) => `    ${passed ? '[x]' : '[ ]'} ${label}${detail === '' ? '' : `: ${detail}`}`),
          `    ${confirm.command}`,
        ]
      : []),
    ...(followedLink ? [`  card ${JSON.stringify(followedLink)}`] : []),
    ...notes.map((note) => `  note: ${note}`),
    ...actions.map(({ label, command, role, style }) => `  <${label}> ${command} (${role}${style ? `, ${style}` : ''})`),
    ...(view.document === undefined ? [] : view.document.split('\n').map((line) => `  : ${line}`)),
    ...jsonLines(view),
  ]
}

/** What `--json` prints; a problem has the same text as the answer. */
function jsonLines({ json, title, text }: View): string[] {
  const { error } = json as { readonly error?: { readonly type: string; readonly title: string; readonly detail: string } }
  return error?.title === title && error.detail === text ? [`  json ${error.type}`] : [`  json ${JSON.stringify(json, short)}`]
}

function columnText({ label, key, align, isWhole, isMinor, beside, isLine }: View['columns'][number]): string {
  const marks = [align, isWhole && 'whole', isMinor && 'minor', beside, isLine && 'line'].filter((mark) => mark !== undefined)
  return `${label === key ? label : `${label}=${key}`}${marks.length === 0 ? '' : ` (${marks.join(' ')})`}`
}

/** What an agent has sent is shown by its name: the agent's tests check the rest. */
function short(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { id, name, host, store, state, since, manifestDigest, capacity, createdAt, kind, cron, visible } = value as Record<string, unknown>
  const place = typeof store === 'string' ? ` ${store}` : ''
  if (manifestDigest !== undefined) return `<image ${String(name)}${place}>`
  if (capacity !== undefined) return `<store ${String(name)}>`
  if (typeof id === 'string' && createdAt !== undefined) return `<${String(name ?? kind)} ${id.replace(/0{4,}/, '…')}${place}>`
  if (cron !== undefined || host !== undefined || visible !== undefined) return `<${String(host ?? name)}${place}>`
  return place !== '' && typeof state === 'string' && since !== undefined ? `<no answer${place} ${state}>` : value
}
