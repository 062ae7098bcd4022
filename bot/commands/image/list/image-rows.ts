// Images as rows, fields and JSON.

import type { Image } from '../../../../protocol/images/image.ts'
import { findSystem } from '../../../../protocol/images/operating-systems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Action, Column, Field, Row, View } from '../../../../protocol/views/view.ts'
import { formatBytes, formatWireTime, plural, statusTone, statusWord, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import { failureText } from '../../../fleet/store-failure.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { imageCells } from '../../../../protocol/views/image-cells.ts'
import type { ImageFacts } from '../../../../protocol/views/image-cells.ts'
import type { FoundImage } from '../find.ts'
import { heldCopyJson, heldCopyWords } from './held-images.ts'
import type { AbsentImage } from './held-images.ts'
import { quoteOption } from '../../../views/quote.ts'
import { deleteLabel } from '../../store/edit/deletion-policy.ts'

export const IMAGE_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'status', label: 'Status' },
  { key: 'kind', label: 'Kind', isMinor: true },
  { key: 'format', label: 'Format', isMinor: true },
  { key: 'length', label: 'Length', align: 'right' },
  { key: 'stored', label: 'Stored', align: 'right', isMinor: true },
  { key: 'owner', label: 'Owner', isMinor: true },
  { key: 'created', label: 'Created', isMinor: true },
  { key: 'id', label: 'Id', isWhole: true },
]

/** An image of a store that answers, or of which the catalogue has what its agent announced. */
export interface ListedImage {
  readonly store: Pick<StoreRecord, 'name'>
  readonly image: ImageFacts & Pick<Image, 'status'>
  readonly storeFailure?: FoundImage['storeFailure']
}

export function imageRow({ store, image, storeFailure }: ListedImage): Row {
  return {
    tone: statusTone(image.status),
    cells: {
      ...imageCells(image),
      store: storeFailure ? `${store.name} (Error)` : store.name,
      status: statusWord(image.status),
    },
  }
}

/** An image for `--json`: the members of the HTTP interface, and the store. */
export function imageJson({ store, image }: FoundImage): Record<string, unknown> {
  return { store: store.name, ...image }
}

/** The View of one image; `copies` are all copies, `held` those of stores that do not answer. */
export function imageView(
  title: string,
  found: FoundImage,
  asOfMs: number,
  more: { copies?: readonly FoundImage[]; held?: readonly AbsentImage[]; notes?: readonly string[]; json?: Readonly<Record<string, unknown>> | undefined } = {},
): View {
  const { image, store } = found
  const { copies = [found], held = [] } = more
  return makeView({
    title,
    tone: statusTone(image.status),
    fields: imageFields(found, copies, held),
    actions: imageActions(found),
    notes: more.notes ?? [],
    asOfMs,
    json: {
      ...imageJson({ image, store }),
      stores: [...copies.map((copy) => ({ store: copy.store.name, status: copy.image.status })), ...held.map(heldCopyJson)],
      ...more.json,
      asOf: formatTime(asOfMs),
    },
  })
}

function imageFields({ store, image, storeFailure }: FoundImage, copies: readonly FoundImage[], held: readonly AbsentImage[]): Field[] {
  const optional = (label: string, value: string | null | undefined): Field[] =>
    value === null || value === undefined || value === '' ? [] : [{ label, value }]
  return [
    { label: 'Name', value: image.name },
    { label: 'Id', value: image.id },
    { label: 'Status', value: statusWord(image.status), tone: statusTone(image.status) },
    ...(storeFailure?.isUnreadable ? [] : optional('Reason', image.statusReason)),
    ...(storeFailure ? [{ label: store.name, value: failureText(storeFailure), tone: 'bad' as const }] : []),
    ...optional('Next', statusAdvice({ store, image })),
    { label: 'Stores', value: [...copies.map((copy) => `${copy.store.name} (${statusWord(copy.image.status)})`), ...held.map(heldCopyWords)].join(', ') },
    { label: 'Kind', value: image.kind },
    { label: 'Format', value: image.format ?? UNKNOWN },
    { label: 'Length', value: formatBytes(image.length) },
    { label: 'Virtual size', value: formatBytes(image.virtualSize) },
    { label: 'Stored size', value: formatBytes(image.storedSize) },
    ...(image.uniqueSize === null ? [] : [{ label: 'Purging frees', value: formatBytes(image.uniqueSize) }]),
    { label: 'SHA-256', value: image.digest ?? 'being computed in the background' },
    { label: 'Manifest', value: image.manifestDigest ?? UNKNOWN },
    ...optional('Description', image.description),
    ...optional('OS', image.os === null ? null : (findSystem(image.os)?.name ?? image.os)),
    ...optional('cloud-init', image.cloudInit === null ? null : image.cloudInit ? 'yes' : 'no'),
    ...optional('Needs', requirementsText(image.requirements)),
    ...optional('Media group', image.mediaGroup && `${image.mediaGroup}${image.hidden ? ' (hidden)' : ''}`),
    ...optional(
      'Labels',
      Object.entries(image.labels)
        .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
        .join(', '),
    ),
    ...optional('Made from instance', image.sourceInstance),
    ...optional('Source', sourceText(image.source)),
    { label: 'Owner', value: image.owner ?? UNKNOWN },
    { label: 'Protected', value: image.protected ? 'yes' : 'no' },
    { label: 'Access', value: accessWords(image) },
    { label: 'In use by', value: image.bindings.length === 0 ? 'nothing' : image.bindings.join(', ') },
    { label: 'Created', value: formatWireTime(image.createdAt) },
    ...(image.availableAt === null ? [] : [{ label: 'Published', value: formatWireTime(image.availableAt) }]),
    ...(image.deletedAt === null
      ? []
      : [
          {
            label: 'Deleted',
            value: `${formatWireTime(image.deletedAt)}, ${image.expiresAt === null ? 'kept forever' : `deleted for good ${formatWireTime(image.expiresAt)}`}`,
          },
        ]),
  ]
}

/** Who may see an image, besides its owner and operators. */
function accessWords({ grants, hidden }: Pick<Image, 'grants' | 'hidden'>): string {
  if (grants.length === 0 && hidden) return 'only its owner and operators, because its media group is hidden'
  return grants.length === 0 ? 'every viewer' : grants.map(({ subject, rights }) => `${subject} (${rights.join(', ')})`).join(', ')
}

/** `2 CPUs, 4 GB of memory, 20 GB of disk`; null when nothing is known. */
function requirementsText(requirements: Image['requirements']): string | null {
  if (requirements === null) return null
  const { cpus, memory, disk } = requirements
  const parts = [cpus && plural(cpus, 'CPU'), memory && `${formatBytes(memory)} of memory`, disk && `${formatBytes(disk)} of disk`]
  return parts.filter((part) => typeof part === 'string').join(', ')
}

/** `upload of debian.qcow2 from laptop`. */
function sourceText({ kind, filename, device, url }: Image['source']): string {
  const what = url ?? filename
  return `${kind}${what === null ? '' : ` of ${what}`}${device === null ? '' : ` from ${device}`}`
}

/** What to do about an image that is not usable; undefined when there is no next step. */
export function statusAdvice({ store, image }: Pick<FoundImage, 'store' | 'image'>): string | undefined {
  switch (image.status) {
    case 'fileUnavailable':
      return `store health ${store.name} says why the files cannot be read. The image is available again once they can.`
    case 'degraded':
      return `image sync ${image.id} to=${store.name} fetches the damaged parts from another store that has the image.`
    case 'error':
      return 'Upload it again, or sync it from another store; then image purge the copy in error.'
    case 'creating':
      return `task list store=${store.name} shows its inspection.`
    case 'uploading':
    case 'pending':
      return `upload list store=${store.name} shows its upload; upload cancel ends it.`
    case 'deleted':
      return `image restore ${image.id} brings it back; image purge deletes it for good.`
    case 'deleting':
      return `store cleanup ${store.name} finishes the removal.`
    case 'available':
      return undefined
  }
}

/** Every button says what it really does: a deletion depends on the policy of the store. */
function imageActions({ image, store, retention }: FoundImage): Action[] {
  const at = `${image.id} ${quoteOption('store', store.name)}`
  if (image.status === 'deleted') return [{ label: 'Restore', command: `image restore ${at}`, role: 'operator', style: 'primary' }]
  const label = image.status === 'uploading' || image.status === 'pending' ? 'Cancel upload' : deleteLabel(retention)
  return [{ label, command: `image delete ${at}`, role: 'operator', style: 'danger' }]
}

/** A button that restores a deleted image, until its retention ends. */
export function restoreAction({ image, store }: ListedImage): Action {
  return { label: `Restore ${image.name}`, command: `image restore ${image.id} ${quoteOption('store', store.name)}`, role: 'operator' }
}
