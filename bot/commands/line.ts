// Splits a line into words. Phones and Slack change what people type: curly quotes, two dashes that become one, links in angle
// brackets. This file reverts that, for Slack and console alike.

/** One word of a line. A literal word was quoted as a whole and is never read as an option or a flag. */
export interface Word {
  readonly text: string
  readonly literal: boolean
}

/** The longest line in characters. */
export const LINE_LENGTH_MAX = 16_384

const QUOTES: Record<string, string> = { '"': '"', "'": "'", '“': '”', '”': '”', '„': '“', '«': '»', '‘': '’' }

/** Reverts what Slack does to the text of a slash command: links in brackets, `&amp;`, `&lt;` and `&gt;`. */
export function unescapeSlack(text: string): string {
  return text
    .replaceAll(/<((?:https?|ftp|sftp|mailto):[^|>\s]*)(?:\|[^>]*)?>/g, '$1')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

/** Splits a line at white space outside quotes; returns undefined when a quote is not closed. */
export function splitLine(line: string): Word[] | undefined {
  const words: Word[] = []
  let i = 0
  while (i < line.length) {
    if (/\s/.test(line.charAt(i))) {
      i++
      continue
    }
    const literal = line.charAt(i) in QUOTES
    let text = ''
    while (i < line.length && !/\s/.test(line.charAt(i))) {
      const closing = QUOTES[line.charAt(i)]
      // A quote opens at the start of a word and after `=` only: an apostrophe inside a word is not a quote.
      if (closing === undefined || !(text === '' || text.endsWith('='))) {
        text += line.charAt(i++)
        continue
      }
      const end = closingQuote(line, i + 1, line.charAt(i), closing)
      if (end < 0) return undefined
      text += line.slice(i + 1, end).replaceAll(/\\(["'\\])/g, '$1')
      i = end + 1
    }
    words.push({ text: literal ? text : text.replace(/^[—–]/, '--'), literal })
  }
  return words
}

/** German and English use the same curly quotes at opposite ends, so any curly quote closes a curly quote. */
function closingQuote(line: string, from: number, opening: string, closing: string): number {
  const wanted = opening === '"' || opening === "'" ? [closing] : [closing, '"', '”', '“']
  for (let i = from; i < line.length; i++) {
    if (line.charAt(i) === '\\') i++
    else if (wanted.includes(line.charAt(i))) return i
  }
  return -1
}

/** Returns the words of arguments that a shell has already split. */
export function fromArguments(words: readonly string[]): Word[] {
  return words.map((text) => ({ text: text.replace(/^[—–]/, '--'), literal: false }))
}
