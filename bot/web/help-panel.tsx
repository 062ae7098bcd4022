// What the words of an answer mean, beside the answer: its columns and fields with unit, what is normal and what to do. `help NOUN VERB WORD` says the same.

/** @jsxImportSource hono/jsx */

import { findTerm } from '../commands/help/terms/terms.ts'
import type { Term } from '../commands/help/terms/term.ts'
import type { Command } from '../commands/command.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { Words } from '../../protocol/views/html/words.tsx'
import type { View } from '../../protocol/views/view.ts'

/** Most words that a panel explains; an answer with more fields repeats them for each of many things. */
const WORDS_MAX = 40

/** The panel of an answer; nothing when none of its words has an explanation. */
export function HelpPanel({ view, command: { noun, verb } }: { readonly view: View; readonly command: Pick<Command, 'noun' | 'verb'> }): Html {
  const labels = [...new Set([...view.columns, ...view.fields].map(({ label }) => label))].slice(0, WORDS_MAX)
  const found = new Map<string, Term>()
  const explained = new Set<Term>()
  for (const label of labels) {
    const one = findTerm(noun, verb, label)
    if (!one || explained.has(one.term)) continue
    explained.add(one.term)
    // One explanation may be that of many labels, such as those with names of stores in them.
    found.set(labels.filter((other) => findTerm(noun, verb, other)?.term === one.term).length === 1 ? label : one.label, one.term)
  }
  if (found.size === 0) return <></>
  return (
    <details class="help">
      <summary>What these words mean</summary>
      <dl>
        {[...found].map(([label, { means, unit, normal, action }]) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <Words text={means} />
              {unit === undefined ? '' : ` Unit: ${unit}.`}
              {normal === undefined ? '' : ` Normal: ${sentence(normal)}`}
              {action === undefined ? '' : ` What to do: ${sentence(action)}`}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  )
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}
