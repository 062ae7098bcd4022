// The value by which each order sorts an image, and the cursors that contain it. All values of one order have the same type; an unknown value
// sorts before all others.

import type { Image } from '../../../protocol/images/image.ts'
import { IMAGE_ORDER_DEFAULT, imageCursorSchema } from '../../../protocol/images/image-list.ts'
import type { ImageOrder, ImageSort } from '../../../protocol/images/image-list.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'

export type SortKey = string | number

/** Sorts before every number and every string that an image can have. */
const UNKNOWN_NUMBER = -1
const UNKNOWN_TEXT = ''

const KEYS: Readonly<Record<ImageSort, (image: Image) => SortKey>> = {
  createdAt: ({ createdAt }) => Date.parse(createdAt),
  availableAt: ({ availableAt }) => timeKey(availableAt),
  deletedAt: ({ deletedAt }) => timeKey(deletedAt),
  expiresAt: ({ expiresAt }) => timeKey(expiresAt),
  name: ({ name }) => textKey(name),
  kind: ({ kind }) => kind,
  format: ({ format }) => format ?? UNKNOWN_TEXT,
  status: ({ status }) => status,
  length: ({ length }) => length,
  virtualSize: ({ virtualSize }) => virtualSize ?? UNKNOWN_NUMBER,
  storedSize: ({ storedSize }) => storedSize ?? UNKNOWN_NUMBER,
  os: ({ os }) => textKey(os),
  cloudInit: ({ cloudInit }) => (cloudInit === null ? UNKNOWN_NUMBER : Number(cloudInit)),
  cpus: ({ requirements }) => requirements?.cpus ?? UNKNOWN_NUMBER,
  memory: ({ requirements }) => requirements?.memory ?? UNKNOWN_NUMBER,
  disk: ({ requirements }) => requirements?.disk ?? UNKNOWN_NUMBER,
  mediaGroup: ({ mediaGroup }) => textKey(mediaGroup),
  owner: ({ owner }) => textKey(owner),
  sourceInstance: ({ sourceInstance }) => textKey(sourceInstance),
}

/** The orders whose values are text; those of the others are numbers. */
const TEXT_SORTS: ReadonlySet<ImageSort> = new Set(['name', 'kind', 'format', 'status', 'os', 'mediaGroup', 'owner', 'sourceInstance'])

/** Returns the value by which an order sorts an image. */
export function sortKey(sort: ImageSort, image: Image): SortKey {
  return KEYS[sort](image)
}

function timeKey(time: string | null): number {
  return time === null ? UNKNOWN_NUMBER : Date.parse(time)
}

/** People look for names in any case. */
function textKey(text: string | null): string {
  return text?.toLowerCase() ?? UNKNOWN_TEXT
}

/** A place in an order: images are sorted by key, and images with the same key by id. */
export interface Place {
  readonly key: SortKey
  readonly id: string
}

/** Compares two places of one order, ascending. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

export interface ParsedOrder {
  readonly sort: ImageSort
  readonly isDescending: boolean
}

/** Returns the member and the direction of an order. */
export function parseOrder(order: ImageOrder): ParsedOrder {
  const isDescending = order.startsWith('-')
  return { sort: (isDescending ? order.slice(1) : order) as ImageSort, isDescending }
}

/** Returns the cursor of a place. */
export function formatCursor(order: ImageOrder, { key, id }: Place): string {
  if (order === IMAGE_ORDER_DEFAULT) return `${key}-${id}`
  const bytes = new TextEncoder().encode(JSON.stringify([order, key]))
  return `${bytes.toBase64({ alphabet: 'base64url', omitPadding: true })}.-${id}`
}

/** Returns the place of a cursor. Throws ProblemError `invalid-input` if it was not issued for this order. */
export function parseCursor(order: ImageOrder, cursor: string): Place {
  const text = imageCursorSchema.safeParse(cursor)
  if (!text.success) throw refuseCursor('The cursor was not issued by this list.')
  const at = text.data.lastIndexOf('-img_')
  const id = text.data.slice(at + 1)
  const head = text.data.slice(0, at)
  if (!head.endsWith('.')) {
    if (order !== IMAGE_ORDER_DEFAULT) throw refuseOrder(IMAGE_ORDER_DEFAULT, order)
    return { key: Number(head), id }
  }
  const value = decodeHead(head.slice(0, -1))
  if (!Array.isArray(value) || value.length !== 2) throw refuseCursor('The cursor was not issued by this list.')
  const [made, key] = value as unknown[]
  if (made !== order) throw refuseOrder(String(made).slice(0, 50), order)
  const type = TEXT_SORTS.has(parseOrder(order).sort) ? 'string' : 'number'
  if (typeof key !== type) throw refuseCursor('The cursor was not issued by this list.')
  return { key: key as SortKey, id }
}

function decodeHead(text: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.fromBase64(text, { alphabet: 'base64url' })))
  } catch {
    return undefined
  }
}

function refuseOrder(made: string, order: string): ProblemError {
  return refuseCursor(`The cursor was issued for the order ${JSON.stringify(made)}, not for ${JSON.stringify(order)}.`)
}

function refuseCursor(detail: string): ProblemError {
  return problem('invalid-input', detail, { action: 'Start again without a cursor.' })
}
