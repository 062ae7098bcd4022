// What the words after `slipway` ask for: the version, help, the service or the console. Pure, so that main.ts only acts.

export type CommandLine =
  | { readonly kind: 'version' }
  /** Help on the commands; `words` is the line that prints it, empty for the usage of the service alone. */
  | { readonly kind: 'help'; readonly hasUsage: boolean; readonly words: readonly string[] }
  /** The service; it takes no further words. */
  | { readonly kind: 'serve'; readonly words: readonly string[] }
  | { readonly kind: 'console'; readonly words: readonly string[] }

const HELP_FLAGS = new Set(['--help', '-h'])
const VERSION_FLAGS = new Set(['--version', '-V'])

/** Usage of the program itself; help on the commands comes from their table. */
export const USAGE = `Usage: slipway NOUN VERB [TARGET] [key=value] [--flag]   runs one command
       slipway [console]                                 opens the console; runs the lines of a pipe
       slipway serve                                     runs the service, which answers in Slack
       slipway --version                                 prints the version

SLIPWAY_HOME is the folder that holds the registry of stores (default ./data). Exit codes: 0 done, 1 refused or failed,
2 not understood.`

/** Reads the words of the command line. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const [first] = args
  if (first !== undefined && VERSION_FLAGS.has(first)) return { kind: 'version' }
  if (first !== undefined && HELP_FLAGS.has(first)) return { kind: 'help', hasUsage: true, words: ['help', ...args.slice(1)] }
  const isHelp = args.some((word) => HELP_FLAGS.has(word))
  if (first === 'serve') return isHelp ? { kind: 'help', hasUsage: true, words: [] } : { kind: 'serve', words: args.slice(1) }
  const words = first === 'console' ? args.slice(1) : args
  if (first === 'console' && isHelp && words.length === 1) return { kind: 'help', hasUsage: true, words: [] }
  return isHelp || words[0] === 'help' ? { kind: 'help', hasUsage: false, words } : { kind: 'console', words }
}
