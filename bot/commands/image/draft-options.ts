// The options of image add and image upload that describe the image.

import { imageDraftSchema, imageFormatSchema, imageKindSchema } from '../../../protocol/images/image.ts'
import type { ImageDraft } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { refuseIssue } from '../refused-value.ts'
import { parseLabels } from './edit-options.ts'

/** Options whose text is the value of the member with the same name. */
export const DRAFT_OPTIONS = [
  'name',
  'description',
  'kind',
  'format',
  'os',
  'cloudInit',
  'mediaGroup',
  'owner',
  'sourceInstance',
  'decompress',
  'digest',
] as const

export type DraftOptions = Readonly<Partial<Record<(typeof DRAFT_OPTIONS)[number] | 'labels', string>>>

/** The options as the help shows them. */
export const DRAFT_OPTION_SPECS = {
  description: { about: 'description', value: 'TEXT' },
  kind: { about: 'system, disk, iso, base, template, snapshot, backup, capture or virtualDisk', value: 'KIND', choices: imageKindSchema.options },
  format: { about: 'raw, qcow2, vmdk or iso; compared with what the agent detects', value: 'FORMAT', choices: imageFormatSchema.options },
  os: { about: 'operating system', value: 'OS' },
  cloudInit: { about: 'true when it has cloud-init', value: 'true|false' },
  mediaGroup: { about: 'media group', value: 'GROUP' },
  owner: { about: 'owner', value: 'NAME' },
  sourceInstance: { about: 'instance that it was made from; a virtualDisk belongs to it', value: 'INSTANCE' },
  labels: { about: 'labels: env=production,team=web', value: 'KEY=VALUE,…' },
  decompress: { about: 'true unpacks gzip, xz and zstd', value: 'true|false' },
  digest: { about: 'expected sha256:… of the whole file, verified', value: 'DIGEST' },
} as const

const FLAGS: ReadonlySet<string> = new Set(['cloudInit', 'decompress'])

/** Returns the draft that the options of a command describe. Throws `invalid-input`, which names the option. */
export function draftOf(options: DraftOptions, command: string): ImageDraft {
  const given: Record<string, unknown> = {}
  for (const key of DRAFT_OPTIONS) {
    const text = options[key]
    if (text !== undefined) given[key] = FLAGS.has(key) && (text === 'true' || text === 'false') ? text === 'true' : text
  }
  if (options.labels !== undefined) given['labels'] = parseLabels(options.labels)
  if (given['name'] === undefined) throw problem('invalid-input', `${command} needs name=.`, { action: 'Add name=NAME.' })
  const parsed = imageDraftSchema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const option = String(issue?.path[0] ?? '')
  throw refuseIssue(option, options[option as keyof DraftOptions] ?? '', issue)
}
