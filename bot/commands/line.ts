// From a line to words. Phones and Slack change what people type: curly quotes, dashes that became one, links in angle
// brackets. All of it is undone here, once, for Slack and console alike.

/** One word of a line. A literal one was quoted as a whole and is never read as an option or a flag. */
export interface Word {
  readonly text: string
  readonly literal: boolean
}

/** Longest line in characters. */
export const LINE_LENGTH_MAX = 16_384

const QUOTES: Record<string, string> = { '"': '"', "'": "'", '“': '”', '”': '”', '„': '“', '«': '»', '‘': '’' }

/** Undoes what Slack does to the text of a slash command: links in brackets, `&amp;`, `&lt;` and `&gt;`. */
export function unescapeSlack(text: string): string {
  return text
    .replaceAll(/<((?:https?|ftp|sftp|mailto):[^|>\s]*)(?:\|[^>]*)?>/g, '$1')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}

/** Splits a line at white space, quotes kept together; gives undefined when a quote is not closed. */
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
      // A quote opens at the start of a word and after `=`: an apostrophe inside a word is just that.
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

/** German and English use the same curly quotes at opposite ends, so that a curly quote may close with any curly one. */
function closingQuote(line: string, from: number, opening: string, closing: string): number {
  const wanted = opening === '"' || opening === "'" ? [closing] : [closing, '"', '”', '“']
  for (let i = from; i < line.length; i++) {
    if (line.charAt(i) === '\\') i++
    else if (wanted.includes(line.charAt(i))) return i
  }
  return -1
}

/** Words as a shell gives them, already split. */
export function fromArguments(words: readonly string[]): Word[] {
  return words.map((text) => ({ text: text.replace(/^[—–]/, '--'), literal: false }))
}

/** A value in a line that is split again: quoted where it needs to be, `"` and `\` escaped. */
export function quoteWord(text: string): string {
  if (/^[^\s"'“”„«»‘’=—–\\]+$/.test(text) && !text.startsWith('--')) return text
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

/** `key=value` in a line that is split again. */
export function quoteOption(key: string, value: string): string {
  return `${key}=${quoteWord(value)}`
}
