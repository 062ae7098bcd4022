// A command as data: its name, its input, the role it needs, and the function that answers with a View. Parser, help, completion
// and role checks read the same table, so a new command is a new file and one line in the table.

import type { Role } from '../../protocol/access.ts'
import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import type { Alerts } from '../alerts/alerts.ts'
import type { Audit } from '../audit/audit.ts'
import type { FirstAdminCodes } from '../access/first-admin.ts'
import type { Roles } from '../access/roles.ts'
import type { Approvals } from '../approvals/approvals.ts'
import type { ShownPlans } from '../approvals/plans.ts'
import type { BulkRuns } from '../bulk/bulk-runs.ts'
import type { Catalogue } from '../fleet/catalogue/catalogue.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Hypervisors } from '../hypervisors/hypervisors.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import type { Samples } from '../samples/samples.ts'
import type { Policies } from '../policies/policies.ts'
import type { PolicyRuns } from '../policies/runs.ts'
import type { EvidenceFiles } from '../system/evidence-files.ts'
import type { UploadPages } from '../links/upload-pages.ts'
import type { Clock } from '../system/clock.ts'
import type { Subject } from '../../protocol/views/form-field.ts'
import type { WantedRows } from '../../protocol/views/html/row-window.ts'
import type { View } from '../../protocol/views/view.ts'
import type { Zones } from '../fleet/zones/zones.ts'
import type { PageEntry } from '../entry/page-entry.ts'

/** Who runs a command. The user of the console owns the machine and is an admin. */
export interface CommandActor {
  readonly name: string
  /** The role for the whole fleet. */
  readonly role: Role
  /** The role in a store, which is at least that for the fleet. Absent when both are the same. */
  readonly roleIn?: (store: Pick<StoreRecord, 'name' | 'zone'>) => Role
  /** Slack id of a person; absent in the console. */
  readonly id?: string
}

/** Uploads files of this machine; only the console has one. */
export interface FileSender {
  /**
   * Uploads a file, resuming an earlier upload of the same file. Sends only the slices that the store lacks when the store says how
   * it cuts images, else all bytes by tus. Throws ProblemError when the file cannot be read or the agent refuses.
   */
  send(order: FileOrder): Promise<SentFile>
  /** Returns the length of a file in bytes. Throws ProblemError when it cannot be read. */
  length(path: string): Promise<number>
}

/** Writes files of this machine. */
export interface FileWriter {
  /**
   * Writes a new file that only its owner can read; returns its absolute path and its length in bytes. The file is there completely or not at all. Throws
   * ProblemError when it exists or cannot be written.
   */
  write(path: string, pieces: AsyncIterable<string | Uint8Array>): Promise<{ readonly path: string; readonly length: number }>
}

/** A file that was uploaded completely. Lengths in bytes. */
export interface SentFile {
  /** Undefined when the agent did not return it. */
  readonly imageId: string | undefined
  readonly resumedFrom: number
  readonly length: number
  /** Bytes on the wire, and bytes of the file that were sent, that the store had, and that are zeros; undefined for tus, which sends all bytes. */
  readonly saving: { readonly wireBytes: number; readonly newBytes: number; readonly storedBytes: number; readonly zeroBytes: number } | undefined
}

export interface FileOrder {
  readonly path: string
  readonly url: string
  readonly token: string
  readonly metadata: Readonly<Record<string, string>>
  /** How the store cuts images; undefined when it does not say. */
  readonly cutter: CutterParameters | undefined
  onProgress(sentBytes: number, length: number): void
  readonly signal?: AbortSignal | undefined
}

/** Everything that a command may use. */
export interface CommandContext {
  readonly fleet: Fleet
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly actor: CommandActor
  /** `service` for work that the bot does by itself. */
  readonly surface: 'console' | 'slack' | 'page' | 'service'
  /** Slack channel in which it was asked. */
  readonly channel?: string
  readonly alerts: Alerts
  /** How the command came, for the audit log; absent for a typed one. */
  readonly via?: 'button' | 'form' | 'confirmation' | 'approval'
  /** What a second person has approved: the command runs if its plan has this hash. */
  readonly approval?: { readonly id: number; readonly plan: string }
  readonly audit: Audit
  readonly roles: Roles
  readonly firstAdminCodes: FirstAdminCodes
  readonly policies: Policies
  readonly policyRuns: PolicyRuns
  readonly zones: Zones
  /** Plans that were shown before a name was typed. */
  readonly plans: ShownPlans
  readonly catalogue: Catalogue
  /** Requests for the approval of a second person. */
  readonly approvals: Approvals
  /** Operations on several images at once. */
  readonly bulkRuns: BulkRuns
  readonly hypervisors: Hypervisors
  /** What stores and fleet were like over time. */
  readonly samples: Pick<Samples, 'minutes' | 'hours'>
  /** Links into the page, and its sessions. */
  readonly page: PageEntry
  /** The pages of upload links. */
  readonly uploadPages: Pick<UploadPages, 'add'>
  readonly commands: readonly Command[]
  readonly files?: FileSender
  /** Writes files of this machine; only the console has one. */
  readonly fileWriter?: FileWriter
  /** Writes archives of evidence to the home folder of the bot. */
  readonly evidenceFiles: EvidenceFiles
  /** False for a command that only starts its tasks (`--no-wait`). */
  readonly isWaiting?: boolean
  /** Receives interim answers of long work that runs in the bot itself. */
  readonly onInterim?: (view: View) => void
  /** The rows that a page shows: a command may answer with these alone. */
  readonly rows?: WantedRows
  readonly signal?: AbortSignal
}

export interface TargetSpec {
  /** As in the usage line: `S`, `PATH`. */
  readonly name: string
  readonly about: string
  readonly subject: Subject
  /** The values that it takes; absent when any text may be valid. */
  readonly choices?: readonly string[]
  readonly optional?: boolean
  /** Takes all remaining words. */
  readonly many?: boolean
  /** The audit log and Slack do not show it. */
  readonly secret?: boolean
}

export interface OptionSpec {
  readonly about: string
  readonly value: string
  readonly subject?: Subject
  /** The values that it takes, for forms; absent when any text may be valid. `true|false` and `on|off` as `value` need none. */
  readonly choices?: readonly string[]
  /** The value of `--key` without one. */
  readonly bare?: string
  /** What a form calls it, when the key is no word. */
  readonly label?: string
  /** Takes several of them, separated by commas. */
  readonly isMany?: true
  /** The command asks for it, or is refused without it. */
  readonly isRequired?: true
  readonly secret?: boolean
  /** Returns the value as the audit log shows it; what is left out is a secret. */
  readonly shown?: (value: string) => string
}

/** The words of a line, checked against the definition of the command. */
export interface CommandInput<Option extends string = string, Flag extends string = string> {
  readonly targets: readonly string[]
  readonly options: Readonly<Partial<Record<Option, string>>>
  readonly flags: ReadonlySet<Flag>
  /** Every name given by `--confirm`. */
  readonly confirm: readonly string[]
  /** Fingerprint of the plan that was shown before the name was typed. */
  readonly plan: string | undefined
}

export interface CommandDefinition<Option extends string, Flag extends string> {
  readonly noun: string
  readonly verb: string
  readonly summary: string
  /** The lowest role that may run it. */
  readonly role: Role
  /** A destructive command takes `--confirm NAME`. */
  readonly effect: 'read' | 'write' | 'destroy'
  /** The flag without which a destructive command asks for no name. */
  readonly destroysWith?: NoInfer<Flag>
  /** A button with it can be pressed again: the command itself makes sure that it acts once. */
  readonly isRepeatable?: boolean
  readonly targets?: readonly TargetSpec[]
  readonly options?: Readonly<Record<Option, OptionSpec>>
  readonly flags?: Readonly<Record<Flag, string>>
  readonly examples?: readonly string[]
  readonly form?: FormWords
  run(context: CommandContext, input: CommandInput<Option, Flag>): Promise<View>
}

/** How the form of a command is called; a command with it opens its form in Slack when nothing but its targets is given. */
export interface FormWords {
  readonly title: string
  /** Text of the button that runs the command. */
  readonly submit: string
  /** Keys of fields that only the console has a use for. */
  readonly without?: readonly string[]
  /** Returns what the options are now for these targets, as far as the bot knows without asking an agent. */
  readonly now?: (context: CommandContext, targets: readonly string[]) => Readonly<Record<string, string>>
}

/** A command without its type parameters, for the table. */
export interface Command {
  readonly noun: string
  readonly verb: string
  readonly summary: string
  readonly role: Role
  readonly effect: 'read' | 'write' | 'destroy'
  readonly destroysWith: string | undefined
  readonly isRepeatable: boolean
  readonly targets: readonly TargetSpec[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly flags: Readonly<Record<string, string>>
  readonly examples: readonly string[]
  readonly form: FormWords | undefined
  run(context: CommandContext, input: CommandInput): Promise<View>
}

/** Creates a command; `run` receives only the options and flags that the definition names. */
export function defineCommand<const Option extends string = never, const Flag extends string = never>(definition: CommandDefinition<Option, Flag>): Command {
  const { noun, verb, summary, role, effect } = definition
  return {
    noun,
    verb,
    summary,
    role,
    effect,
    destroysWith: definition.destroysWith,
    isRepeatable: definition.isRepeatable ?? false,
    targets: definition.targets ?? [],
    options: definition.options ?? {},
    flags: definition.flags ?? {},
    examples: definition.examples ?? [],
    form: definition.form,
    // The parser has refused every option and flag that the definition does not name.
    run: (context, input) => definition.run(context, input as CommandInput<Option, Flag>),
  }
}

/** Flags that every command takes. */
export const COMMON_FLAGS: Readonly<Record<string, string>> = {
  json: 'prints one JSON value (console)',
  share: 'shows the answer to everyone in the channel (Slack)',
  'no-wait': 'does not wait for the task it starts (console)',
}

/** The usage line: `store browse [S] [PATH] [--share]`. */
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
