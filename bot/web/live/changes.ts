// What a tab gets of a look: the HTML of parts that differ from what it has, and the age of the others. A part that fails keeps what was shown, and says why.

import { fillIn } from '../parts.tsx'
import type { ShownPart } from '../parts.tsx'
import type { Look } from '../session-context.ts'
import { plainText } from '../../../protocol/views/phrases.ts'

/** Longest sentence that is read aloud, in characters. */
const NEWS_LENGTH_MAX = 200

/** A part as it is sent. */
export interface PartChange {
  readonly id: string
  readonly version: string
  /** The whole part; absent when only its age differs. */
  readonly html?: string
  readonly age?: string
  /** Why the part could not be looked at again; empty when it could. */
  readonly problem: string
}

/** Returns what a tab with these versions needs, and the versions that it has then. */
export function changesFor(
  parts: readonly ShownPart[],
  had: readonly string[],
  forms: Pick<Look, 'token' | 'makeOnce'>,
): { readonly changes: PartChange[]; readonly versions: string[] } {
  const changes = parts.map(({ id, version, html, age, view }, i): PartChange => {
    const has = had[i] ?? ''
    if (view.outcome !== 'done' && has !== '' && has !== version) return { id, version: has, problem: problemOf(view) }
    return { id, version, problem: '', ...(has === version ? { age } : { html: fillIn(html, forms) }) }
  })
  return { changes, versions: changes.map(({ version }) => version) }
}

/** What changed between two looks in a few words; empty when it is no news, such as a bar that moved. */
export function newsOf(before: readonly ShownPart[] | undefined, after: readonly ShownPart[]): string {
  const news = after.filter(({ view }, i) => {
    const was = before?.[i]?.view
    return was !== undefined && (was.tone !== view.tone || was.title !== view.title || was.outcome !== view.outcome)
  })
  return plainText(news.map(({ view: { title, text } }) => `${title}. ${text}`).join(' ')).slice(0, NEWS_LENGTH_MAX)
}

function problemOf({ text, fields }: ShownPart['view']): string {
  const next = fields.find(({ label }) => label === 'Next')?.value ?? ''
  return plainText(`This part could not be looked at again: ${text} ${next}`.trim())
}
