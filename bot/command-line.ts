// Reads the arguments of `slipway`: the version, help, the service or the console. Pure; main.ts acts on the result.

export type CommandLine =
  | { readonly kind: 'version' }
  /** Help; `words` is the command that prints it, empty when only the usage is printed. */
  | { readonly kind: 'help'; readonly hasUsage: boolean; readonly words: readonly string[] }
  /** The service; `words` are arguments that it does not take. */
  | { readonly kind: 'serve'; readonly words: readonly string[] }
  /** The rotation of the key for tokens; `words` are its arguments. */
  | { readonly kind: 'rotate-key'; readonly words: readonly string[] }
  | { readonly kind: 'console'; readonly words: readonly string[] }

const HELP_FLAGS = new Set(['--help', '-h'])
const VERSION_FLAGS = new Set(['--version', '-V'])

/** The usage of the program; the help on commands comes from their table. */
export const USAGE = `Usage: slipway NOUN VERB [TARGET] [key=value] [--flag]   runs one command
       slipway [console]                                 opens the console, or runs the lines of a pipe
       slipway serve                                     runs the service, which answers in Slack
       slipway rotate-key [--lost-key]                   encrypts the tokens of agents with a new key
       slipway --version                                 prints the version

SLIPWAY_HOME is the folder that holds the registry of stores (default ./data). Exit codes: 0 done, 1 refused or failed,
2 not understood.`

/** Reads the arguments. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const [first] = args
  if (first !== undefined && VERSION_FLAGS.has(first)) return { kind: 'version' }
  if (first !== undefined && HELP_FLAGS.has(first)) return { kind: 'help', hasUsage: true, words: ['help', ...args.slice(1)] }
  const isHelp = args.some((word) => HELP_FLAGS.has(word))
  if (first === 'serve') return isHelp ? { kind: 'help', hasUsage: true, words: [] } : { kind: 'serve', words: args.slice(1) }
  if (first === 'rotate-key') return isHelp ? { kind: 'help', hasUsage: true, words: [] } : { kind: 'rotate-key', words: args.slice(1) }
  const words = first === 'console' ? args.slice(1) : args
  if (first === 'console' && isHelp && words.length === 1) return { kind: 'help', hasUsage: true, words: [] }
  return isHelp || words[0] === 'help' ? { kind: 'help', hasUsage: false, words } : { kind: 'console', words }
}
