// The options of `image edit`: what a change says in words. An empty value removes what the image has.

import { imageKindSchema, imagePatchSchema } from '../../../protocol/images/image.ts'
import type { Image, ImagePatch } from '../../../protocol/images/image.ts'
import type { LabelsPatch } from '../../../protocol/images/labels.ts'
import { problem } from '../../../protocol/problems.ts'
import { parseSize } from '../../../protocol/units.ts'
import { refuseIssue } from '../refused-value.ts'

export const EDIT_OPTIONS = {
  name: { about: 'new name', value: 'NAME' },
  description: { about: 'description', value: 'TEXT' },
  kind: { about: 'system, disk, iso, base, template, snapshot, backup or capture', value: 'KIND', choices: imageKindSchema.exclude(['virtualDisk']).options },
  os: { about: 'operating system, by id or name of the catalogue, or any other; its requirements apply', value: 'OS' },
  cloudInit: { about: 'whether it has cloud-init', value: 'true|false' },
  cpus: { about: 'least CPUs of an instance', value: 'N' },
  memory: { about: 'least memory of an instance', value: '2GB' },
  disk: { about: 'least disk of an instance', value: '20GB' },
  mediaGroup: { about: 'media group', value: 'GROUP' },
  owner: { about: 'owner', value: 'NAME' },
  labels: { about: 'labels to set, and with - before the key to remove: env=production,-team', value: 'KEY=VALUE,-KEY' },
  sourceInstance: { about: 'instance that the image was made from', value: 'INSTANCE' },
} as const

export type EditOptions = Readonly<Partial<Record<keyof typeof EDIT_OPTIONS, string>>>

/** Members that an empty value removes. */
const REMOVABLE: ReadonlySet<string> = new Set(['os', 'cloudInit', 'mediaGroup', 'owner', 'sourceInstance'])

/** Returns the change of an image. Throws `invalid-input`, which names the option. */
export function parseEdit(options: EditOptions, { requirements }: Pick<Image, 'requirements'>): ImagePatch {
  const { cpus, memory, disk, labels, ...words } = options
  const change: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(words)) {
    if (value !== undefined) change[key] = value === '' && REMOVABLE.has(key) ? null : key === 'cloudInit' ? parseFlag(value) : value
  }
  if (cpus !== undefined || memory !== undefined || disk !== undefined) {
    const before = requirements ?? { cpus: null, memory: null, disk: null }
    change['requirements'] = {
      cpus: cpus === undefined ? before.cpus : parseCount(cpus),
      memory: memory === undefined ? before.memory : parseBytes('memory', memory),
      disk: disk === undefined ? before.disk : parseBytes('disk', disk),
    }
  }
  if (labels !== undefined) change['labels'] = parseLabels(labels)
  const patch = imagePatchSchema.safeParse(change)
  if (patch.success) return patch.data
  const issue = patch.error.issues[0]
  const [member = '', part = ''] = (issue?.path ?? []).map(String)
  if (member === '')
    throw problem('invalid-input', 'image edit needs something to change.', { action: `Add at least one of ${Object.keys(EDIT_OPTIONS).join('=, ')}=.` })
  const option = member === 'requirements' ? part : member
  throw refuseIssue(option, options[option as keyof EditOptions] ?? '', issue)
}

/** Returns the change of labels: `env=production` sets one, `-team` removes one. */
export function parseLabels(text: string): LabelsPatch {
  const change: Record<string, string | null> = {}
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=')
    if (pair.startsWith('-') && at < 0) change[pair.slice(1)] = null
    else if (at > 0) change[pair.slice(0, at)] = pair.slice(at + 1)
    else
      throw problem('invalid-input', `labels: "${pair}" is not understood.`, {
        action: 'Write KEY=VALUE to set a label and -KEY to remove one, separated by commas.',
      })
  }
  return change
}

function parseFlag(text: string): unknown {
  return text === 'true' ? true : text === 'false' ? false : text
}

function parseCount(text: string): number | null {
  return text === '' ? null : Number(text)
}

function parseBytes(key: string, text: string): number | null {
  if (text === '') return null
  const bytes = parseSize(text)
  if (bytes === undefined) throw problem('invalid-input', `${key}=${text} is not a size.`, { action: 'Write it as 2GB or 512MiB.' })
  return bytes
}
