// The options of `image list`: filters and order, as people write them. The agent applies the filters, and refuses values that it does not know.

import { imageFormatSchema, imageKindSchema, imageSourceSchema, imageStatusSchema } from '../../../../protocol/images/image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { IMAGE_SORTS, imageFilterSchema, imageOrderSchema } from '../../../../protocol/images/image-list.ts'
import type { ImageFilter, ImageOrder, ImageSort } from '../../../../protocol/images/image-list.ts'
import { problem } from '../../../../protocol/problems.ts'
import { parseSize } from '../../../../protocol/units.ts'
import { refuseChoice, refuseIssue } from '../../refused-value.ts'

/** Flags of lists that a page may answer from the catalogue. */
export const LIST_FLAGS = { fresh: 'asks every agent, also where the page could answer from the catalogue of the bot (page)' } as const

/** Every filter and the order, for the definition of the command. */
export const LIST_OPTIONS = {
  owner: { about: 'only images of this owner', value: 'NAME' },
  status: { about: `one of ${imageStatusSchema.options.join(', ')}`, value: 'STATUS', choices: imageStatusSchema.options },
  name: { about: 'only images of exactly this name', value: 'NAME' },
  search: { about: 'only images whose name or description contains this', value: 'TEXT' },
  kind: { about: `one of ${imageKindSchema.options.join(', ')}`, value: 'KIND', choices: imageKindSchema.options },
  format: { about: `one of ${imageFormatSchema.options.join(', ')}`, value: 'FORMAT', choices: imageFormatSchema.options },
  os: { about: 'only images with this operating system', value: 'OS' },
  cloudInit: { about: 'only images with or without cloud-init', value: 'true|false' },
  mediaGroup: { about: 'only images of this media group', value: 'GROUP' },
  label: { about: 'only images with these labels: env=production,team', value: 'KEY[=VALUE],…' },
  source: {
    about: `how the image came in: ${imageSourceSchema.shape.kind.options.join(', ')}`,
    value: 'SOURCE',
    choices: imageSourceSchema.shape.kind.options,
  },
  sourceInstance: { about: 'only images made from this instance', value: 'INSTANCE' },
  instance: { about: 'only images that this instance uses', value: 'INSTANCE' },
  protected: { about: 'only images with or without protection', value: 'true|false' },
  cpus: { about: 'only images that an instance with this many CPUs can run', value: 'N' },
  memory: { about: 'only images that an instance with this much memory can run', value: '4GB' },
  disk: { about: 'only images that an instance with a disk of this size can run', value: '40GB' },
  createdAfter: { about: 'only images created after this day or time in UTC', value: '2026-11-01' },
  createdBefore: { about: 'only images created before this day or time in UTC', value: '2026-12-01' },
  sort: { about: `order: one of ${IMAGE_SORTS.join(', ')}; with - before it, descending`, value: '[-]MEMBER' },
} as const

type ListOptions = { readonly [Key in keyof typeof LIST_OPTIONS]?: string | undefined }

/** Returns the filter of the options. Throws `invalid-input`, which names the option and the nearest value. */
export function parseFilter({ sort: _sort, ...options }: ListOptions): Partial<ImageFilter> {
  const filter: Record<string, string> = {}
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined) filter[key] = filterText(key, value)
  }
  const parsed = imageFilterSchema.safeParse(filter)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const option = String(issue?.path[0] ?? '')
  throw refuseIssue(option, options[option as keyof typeof options] ?? '', issue)
}

/** Returns the order that `sort` names. Throws `invalid-input` with the nearest one. */
export function parseSort(text: string | undefined): ImageOrder | undefined {
  const parsed = imageOrderSchema.optional().safeParse(text)
  if (parsed.success) return parsed.data
  throw refuseChoice('sort', text ?? '', imageOrderSchema.options)
}

/** Returns a value as the agent takes it: sizes in bytes, and a day as its first moment. */
function filterText(key: string, value: string): string {
  if (key === 'memory' || key === 'disk') return String(bytesOf(key, value))
  const isDay = (key === 'createdAfter' || key === 'createdBefore') && /^\d{4}-\d{2}-\d{2}$/.test(value)
  return isDay ? `${value}T00:00:00Z` : value
}

function bytesOf(key: string, text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined) throw problem('invalid-input', `${key}=${text} is not a size.`, { action: 'Write it as 4GB or 512MiB.' })
  return bytes
}

/** Compares two images of different stores in an order of the agents. */
export function compareImages(order: ImageOrder, a: Image, b: Image): number {
  const isDescending = order.startsWith('-')
  const sort = (isDescending ? order.slice(1) : order) as ImageSort
  const [left, right] = [sortValue(sort, a), sortValue(sort, b)]
  const compared = compareValues(left, right) || compareValues(a.id, b.id)
  return isDescending ? -compared : compared
}

/** Compares two values of one type, texts by their UTF-16 units. */
export function compareValues(a: string | number, b: string | number): number {
  return Number(a > b) - Number(a < b)
}

function sortValue(sort: ImageSort, image: Image): string | number {
  if (sort === 'cpus' || sort === 'memory' || sort === 'disk') return image.requirements?.[sort] ?? Number.NEGATIVE_INFINITY
  const value = image[sort]
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'number') return value
  const isNumber = sort === 'virtualSize' || sort === 'storedSize' || sort === 'cloudInit'
  return isNumber ? Number.NEGATIVE_INFINITY : (value ?? '').toLowerCase()
}
