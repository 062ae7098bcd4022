// The options of `policy add` and `policy edit`, from words to the members of a policy.

import { imageKindSchema } from '../../../protocol/images/image.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { parseLabelFilter } from '../../../protocol/images/image-list.ts'
import type { LabelFilter } from '../../../protocol/images/image-list.ts'
import { labelKeySchema, LABELS_MAX, labelValueSchema } from '../../../protocol/images/labels.ts'
import { problem } from '../../../protocol/problems.ts'
import { parseDuration } from '../../../protocol/units.ts'
import { cronRefusal } from '../../policies/cron.ts'
import { COPIES_MAX } from '../../policies/policy.ts'
import type { Policy, PolicyRule, PolicyScope } from '../../policies/policy.ts'
import type { CommandContext, OptionSpec } from '../command.ts'
import { oneStore, someStores } from '../select.ts'
import { refuseChoice } from '../refused-value.ts'

/** Longest time that a store may be silent before its copies are replaced, in milliseconds: 30 days. */
const GRACE_MS_MAX = 30 * 86_400_000
/** Names go into commands and into the audit log. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export const POLICY_DEFAULTS = { cron: '23 2 * * *', timezone: 'UTC', graceMs: 4 * 3_600_000 } as const

export const POLICY_OPTIONS = {
  keep: { about: `how many stores have each image, 1 to ${COPIES_MAX}`, value: 'N' },
  follow: { about: 'the store whose images are copied', value: 'S', subject: 'store' },
  store: { about: 'the store that gets the copies', value: 'S', subject: 'store' },
  zone: { about: 'the zone whose stores get the copies; without store= and zone=, all stores', value: 'Z', subject: 'zone' },
  label: { about: 'labels that an image must have, separated by commas; empty for any', value: 'K=V' },
  kind: { about: `kinds of images, separated by commas: ${imageKindSchema.options.join(', ')}; empty for all but virtualDisk`, value: 'KIND' },
  cron: { about: 'when it runs, five fields in quotes', value: '"23 2 * * *"' },
  timezone: { about: 'time zone of cron=', value: 'UTC' },
  grace: { about: 'how long a store may be silent before the copies that it may have are replaced', value: '4h' },
} as const satisfies Record<string, OptionSpec>

export type PolicyOptions = Readonly<Partial<Record<keyof typeof POLICY_OPTIONS, string>>>

/** Returns the name of a policy. Throws `invalid-input` for one that cannot be written in a command. */
export function policyName(text: string): string {
  if (NAME.test(text)) return text
  throw problem('invalid-input', `"${text}" cannot be the name of a policy.`, {
    action: 'Use up to 63 letters, digits, ".", "_" or "-", with a letter or digit first.',
  })
}

/** Returns the members that the options set. Throws `invalid-input` or `not-found`. */
export function readPolicyOptions(context: CommandContext, options: PolicyOptions): Partial<Policy> {
  const { label, kind, cron, timezone, grace } = options
  const rule = readRule(context, options)
  const scope = readScope(context, options)
  return {
    ...(rule && { rule }),
    ...(scope && { scope }),
    ...(label === undefined ? {} : { labels: readLabels(label) }),
    ...(kind === undefined ? {} : { kinds: readKinds(kind) }),
    ...(cron === undefined ? {} : { cron: cron.trim() }),
    ...(timezone === undefined ? {} : { timezone }),
    ...(grace === undefined ? {} : { graceMs: readGrace(grace) }),
  }
}

/** Throws `invalid-input` for a policy whose members do not fit together. */
export function requireSound({ rule, scope, cron, timezone }: Pick<Policy, 'rule' | 'scope' | 'cron' | 'timezone'>, nowMs: number): void {
  const refusal = cronRefusal(cron, timezone, nowMs)
  if (refusal !== undefined)
    throw problem('invalid-input', `cron="${cron}" in the time zone ${timezone} cannot be used: ${refusal}.`, {
      action: 'Write it as cron="23 2 * * *" timezone=UTC.',
    })
  if (scope.kind !== 'store') return
  if (rule.kind === 'keep' && rule.copies > 1)
    throw problem('invalid-input', `${scope.store} is one store and cannot have ${rule.copies} copies.`, { action: 'Use keep=1, or zone= instead of store=.' })
  if (rule.kind === 'follow' && rule.source.toLowerCase() === scope.store.toLowerCase())
    throw problem('invalid-input', `${scope.store} cannot follow itself.`, { action: 'Name another store in follow= or store=.' })
}

function readRule(context: CommandContext, { keep, follow }: PolicyOptions): PolicyRule | undefined {
  if (keep !== undefined && follow !== undefined)
    throw problem('invalid-input', 'A policy keeps a number of copies or follows a store, and not both.', { action: 'Use either keep= or follow=.' })
  if (follow !== undefined) return { kind: 'follow', source: oneStore(context, follow).name }
  if (keep === undefined) return undefined
  const copies = /^\d{1,2}$/.test(keep) ? Number(keep) : 0
  if (copies >= 1 && copies <= COPIES_MAX) return { kind: 'keep', copies }
  throw problem('invalid-input', `keep=${keep} is not a number of copies.`, { action: `Write a number from 1 to ${COPIES_MAX}.` })
}

function readScope(context: CommandContext, { store, zone }: PolicyOptions): PolicyScope | undefined {
  if (store !== undefined && zone !== undefined)
    throw problem('invalid-input', 'The copies of a policy go to a store or to a zone.', { action: 'Use either store= or zone=.' })
  if (store !== undefined) return { kind: 'store', store: oneStore(context, store).name }
  if (zone === undefined) return undefined
  if (zone === '') return { kind: 'all' }
  // Throws for a zone that no store is in, with the zones that exist.
  someStores(context, undefined, zone)
  return { kind: 'zone', zone }
}

function readLabels(text: string): LabelFilter[] {
  if (text === '') return []
  const labels = parseLabelFilter(text)
  const isValid = ({ key, value }: LabelFilter): boolean =>
    labelKeySchema.safeParse(key).success && (value === undefined || labelValueSchema.safeParse(value).success)
  if (labels.length <= LABELS_MAX && labels.every(isValid)) return labels
  throw problem('invalid-input', `label=${text} is not a list of labels.`, { action: 'Write it as label=KEY or label=KEY=VALUE, several with commas.' })
}

function readKinds(text: string): Image['kind'][] {
  const words = text.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]))
  return words.map((word) => {
    const known = imageKindSchema.safeParse(word)
    if (known.success) return known.data
    throw refuseChoice('kind', word, imageKindSchema.options)
  })
}

function readGrace(text: string): number {
  const ms = text === '0' ? 0 : (parseDuration(text) ?? Number.NaN)
  if (ms >= 0 && ms <= GRACE_MS_MAX) return ms
  throw problem('invalid-input', `grace=${text} is not a duration of at most 30 days.`, { action: 'Write it as 30m, 4h or 2d, or as 0.' })
}
