// Quotes the words of commands that error sentences ask an operator to run.

/** Quotes a word for a shell where it needs quotes. */
export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
