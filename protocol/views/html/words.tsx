// Text of a View as HTML: times become elements, characters that deceive a reader become question marks. A tone is a glyph with a word, never a colour alone.

/** @jsxImportSource hono/jsx */

import { GLYPHS, plainText } from '../phrases.ts'
import type { Tone } from '../view.ts'
import type { Html } from './html.ts'

const TIME = /(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} UTC|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z)/

const TONE_WORDS: Record<Tone, string> = { good: 'Good', warning: 'Warning', bad: 'Problem', plain: '' }

/** Text with its times as elements, which a script shows in the zone of the viewer. */
export function Words({ text }: { readonly text: string }): Html {
  const parts = plainText(text).split(TIME)
  return <>{parts.map((part, i) => (i % 2 === 1 ? <time datetime={isoTime(part)}>{part}</time> : part))}</>
}

/** The glyph of a tone, and its word for who does not see it. */
export function Mark({ tone }: { readonly tone: Tone | undefined }): Html {
  if (tone === undefined || tone === 'plain') return <></>
  return (
    <>
      <span class={`glyph ${tone}`} aria-hidden="true">
        {GLYPHS[tone]}
      </span>{' '}
      <span class="unseen">{TONE_WORDS[tone]}: </span>
    </>
  )
}

/** `2026-11-21 06:54:49 UTC` as `2026-11-21T06:54:49Z`. */
function isoTime(text: string): string {
  return text.endsWith('UTC') ? `${text.slice(0, 19).replace(' ', 'T')}Z` : text
}
