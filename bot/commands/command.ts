// A command as data: what it is called, what it takes, who may run it, and the pure function that answers with a View.
// Parser, help, completion and role checks all read the same table, so that a new noun is a new file and one line.

import type { Role } from '../../protocol/access.ts'
import type { CutterParameters } from '../../protocol/cutter.ts'
import type { Audit } from '../audit/audit.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Clock } from '../system/clock.ts'
import type { View } from '../views/view.ts'

/** Who asks. The console is its machine's owner and an admin. */
export interface CommandActor {
  readonly name: string
  readonly role: Role
}

/** Sends a file of this machine to an agent; only the console has it. */
export interface FileSender {
  /**
   * Uploads a file, from where an earlier run of the same file stopped: only what the store lacks where it tells how it cuts,
   * else by plain tus. Throws ProblemError when the file cannot be read or the agent refuses.
   */
  send(order: FileOrder): Promise<SentFile>
}

/** A file that is whole at the store. Lengths in bytes. */
export interface SentFile {
  /** Undefined when the agent did not say it. */
  readonly imageId: string | undefined
  readonly resumedFrom: number
  readonly length: number
  /** What went over the wire, and how many bytes of the file were sent, stored already, and zeros; undefined for plain tus, which sends everything. */
  readonly saving: { readonly wireBytes: number; readonly newBytes: number; readonly storedBytes: number; readonly zeroBytes: number } | undefined
}

export interface FileOrder {
  readonly path: string
  readonly url: string
  readonly token: string
  readonly metadata: Readonly<Record<string, string>>
  /** How the store cuts images; undefined where it does not tell. */
  readonly cutter: CutterParameters | undefined
  onProgress(sentBytes: number, length: number): void
  readonly signal?: AbortSignal | undefined
}

/** All that a command may use. */
export interface CommandContext {
  readonly fleet: Fleet
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly actor: CommandActor
  readonly surface: 'console' | 'slack'
  readonly audit: Audit
  readonly commands: readonly Command[]
  readonly files?: FileSender
  /** Called with interim answers of long work that runs in the bot itself. */
  readonly onInterim?: (view: View) => void
  readonly signal?: AbortSignal
}

/** What a word stands for: known to completion. */
export type Subject = 'store' | 'image' | 'deleted-image' | 'any-image' | 'task' | 'schedule' | 'zone' | 'noun' | 'verb' | 'path' | 'text'

export interface TargetSpec {
  /** As in the usage line: `S`, `PATH`. */
  readonly name: string
  readonly about: string
  readonly subject: Subject
  readonly optional?: boolean
  /** Takes all words that are left. */
  readonly many?: boolean
}

export interface OptionSpec {
  readonly about: string
  readonly value: string
  readonly subject?: Subject
  readonly secret?: boolean
}

/** What was typed, checked against the command's own table. */
export interface CommandInput<Option extends string = string, Flag extends string = string> {
  readonly targets: readonly string[]
  readonly options: Readonly<Partial<Record<Option, string>>>
  readonly flags: ReadonlySet<Flag>
  /** Every name given by `--confirm`. */
  readonly confirm: readonly string[]
  /** Fingerprint of the plan that was shown when the name was typed. */
  readonly plan: string | undefined
}

export interface CommandDefinition<Option extends string, Flag extends string> {
  readonly noun: string
  readonly verb: string
  readonly summary: string
  /** Least role that may run it. */
  readonly role: Role
  /** A destroying command takes `--confirm NAME`. */
  readonly effect: 'read' | 'write' | 'destroy'
  readonly targets?: readonly TargetSpec[]
  readonly options?: Readonly<Record<Option, OptionSpec>>
  readonly flags?: Readonly<Record<Flag, string>>
  readonly examples?: readonly string[]
  run(context: CommandContext, input: CommandInput<Option, Flag>): Promise<View>
}

/** A command with its types erased, for the table. */
export interface Command {
  readonly noun: string
  readonly verb: string
  readonly summary: string
  readonly role: Role
  readonly effect: 'read' | 'write' | 'destroy'
  readonly targets: readonly TargetSpec[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly flags: Readonly<Record<string, string>>
  readonly examples: readonly string[]
  run(context: CommandContext, input: CommandInput): Promise<View>
}

/** Makes a command; `run` sees only the options and flags that the definition names. */
export function defineCommand<const Option extends string = never, const Flag extends string = never>(definition: CommandDefinition<Option, Flag>): Command {
  const { noun, verb, summary, role, effect } = definition
  return {
    noun,
    verb,
    summary,
    role,
    effect,
    targets: definition.targets ?? [],
    options: definition.options ?? {},
    flags: definition.flags ?? {},
    examples: definition.examples ?? [],
    // The parser has refused every option and flag that the definition does not name.
    run: (context, input) => definition.run(context, input as CommandInput<Option, Flag>),
  }
}

/** Flags that every command understands. */
export const COMMON_FLAGS: Readonly<Record<string, string>> = {
  json: 'prints one JSON value (console)',
  share: 'shows the answer to the whole channel (Slack)',
  'no-wait': 'does not wait for the task it starts (console)',
}

/** `store browse S [path] [limit=…] [--share]`. */
export function usage(command: Command): string {
  const words = [command.noun, command.verb]
  for (const target of command.targets) {
    const name = `${target.name}${target.many ? '…' : ''}`
    words.push(target.optional ? `[${name}]` : name)
  }
  for (const [key, option] of Object.entries(command.options)) words.push(`[${key}=${option.value}]`)
  for (const flag of Object.keys(command.flags)) words.push(`[--${flag}]`)
  if (command.effect === 'destroy') words.push('[--confirm NAME]')
  return words.filter((word) => word !== '').join(' ')
}
