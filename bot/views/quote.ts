// Writes the words of a command line, so that bot/commands/line.ts reads the same words again.

/** Formats a value for a line that will be split again: quoted if necessary, with `"` and `\` escaped. */
export function quoteWord(text: string): string {
  if (/^[^\s"'“”„«»‘’=—–\\]+$/.test(text) && !text.startsWith('--')) return text
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
}

/** Formats `key=value` for a line that will be split again. */
export function quoteOption(key: string, value: string): string {
  return `${key}=${quoteWord(value)}`
}
